"""Faults on demand: breaks a part of a running cluster, and mends it.

| fault | what is done |
|---|---|
| `kill` | SIGKILL to the processes of a pod, whose agent starts them again |
| `replace` | a pod is deleted, and its Deployment makes another |
| `stop` | SIGSTOP to a node's agent, until SIGCONT: it is there, and does nothing |
| `cut` | the relay is told that the agent listens where nobody does, until it is told the truth |
| `refuse`, `reset`, `stall` | the agent does so to new connections to a port (`agent.connectors`) |

The first two happen once; the others last until they are mended.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import msgspec
import psutil

from kfwd_nb.agent.connectors.faulty import PortFault
from kfwd_nb.cluster.folder import write_private
from kfwd_nb.errors import KfwdError, NotFoundError, UnavailableError
from kfwd_nb.kube import resolve
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.kubeconfig import load
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.kube.objects import PID_ANNOTATION, DaemonEndpoint, DaemonEndpoints, Node, Pod
from kfwd_nb.kube.resolve import Destination, Inventory
from kfwd_nb.kube.resources import resource_of
from kfwd_nb.ports import Target
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.loop_thread import loop_thread

HEARD_WITHIN = 1.0
"""Seconds that an agent is waited for to take in a fault; one that is stopped does so later."""

T = TypeVar("T")

PORT_FAULTS: tuple[PortFault, ...] = get_args(PortFault)


@dataclass(frozen=True, slots=True)
class Fault:
    """One that lasts.

    Attributes:
        kind: `stop`, `cut`, `refuse`, `reset` or `stall`.
        where: `node/NAME`, or `NAMESPACE/POD:PORT`.
    """

    kind: str
    where: str


class Faults:
    """The faults of one cluster.

    Args:
        supervisor: PID of its supervisor, whose children the agents are.
        kubeconfig: of the cluster's administrator.
    """

    def __init__(self, supervisor: int, kubeconfig: Path) -> None:
        self._supervisor = supervisor
        self._kubeconfig = kubeconfig
        self._active: dict[Fault, Callable[[], None]] = {}

    @property
    def active(self) -> tuple[Fault, ...]:
        """Those that last, in the order in which they were made."""
        return tuple(self._active)

    # -- once -------------------------------------------------------------------------------------

    def kill(self, target: Target, namespace: str = "default") -> Pod:
        """End the processes of a pod, as an out-of-memory kill does; returns the pod.

        Raises:
            KfwdError: there is no such pod, or none that runs.
        """
        pod = self.pod_of(target, namespace)
        with _reached(f"pod {namespace}/{pod.metadata.name}"):
            first = psutil.Process(int(pod.metadata.annotations[PID_ANNOTATION]))
            for process in first.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        return pod

    def replace(self, target: Target, namespace: str = "default") -> Pod:
        """Delete a pod that has somebody to make another; returns the one that goes.

        Raises:
            UnavailableError: nothing would take its place.
            KfwdError: there is no such pod, or none that runs.
        """
        pod = self.pod_of(target, namespace)
        if not pod.metadata.owner_references:
            raise UnavailableError(
                f'pod "{pod.metadata.name}" belongs to no Deployment: nothing would take its '
                "place.",
                hint=f"`kill pod/{pod.metadata.name}` ends its processes, and the node's agent "
                "starts them again.",
            )
        self._request("DELETE", resource_of(Pod).path(namespace, pod.metadata.name))
        return pod

    # -- until they are mended --------------------------------------------------------------------

    def stop(self, node: str) -> Fault:
        """Stop a node's agent. Its pods go on; nobody answers for them.

        Raises:
            KfwdError: there is no such node, or its agent does not run.
        """
        agent = self._agent(self._node(node))
        fault = Fault("stop", f"node/{node}")
        with _reached(f"the agent of {fault.where}"):
            agent.suspend()

        def resume() -> None:
            with suppress(psutil.NoSuchProcess):  # its successor was never stopped
                agent.resume()

        self._active[fault] = resume
        return fault

    def cut(self, node: str) -> Fault:
        """Cut the link between a node's agent and the relay.

        Raises:
            KfwdError: there is no such node.
        """
        fault = Fault("cut", f"node/{node}")
        if fault in self._active:
            return fault
        found = self._node(node)
        nobody = socket.socket()  # it holds a port, so that nobody else can listen there
        nobody.bind(("127.0.0.1", 0))
        dead = nobody.getsockname()[1]
        try:
            self._put(_at_port(found, dead))
        except BaseException:
            nobody.close()
            raise

        def mend() -> None:
            now = self._node(node)
            if _port_of(now) == dead:  # an agent that was started anew has told its own
                self._put(_at_port(now, _port_of(found)))
            nobody.close()

        self._active[fault] = mend
        return fault

    def break_port(
        self, kind: PortFault, target: Target, port: int, namespace: str = "default"
    ) -> Fault:
        """Let a port of a pod refuse, reset or stall all new connections.

        Raises:
            KfwdError: there is no such pod, or none that runs; or a service has no such port.
        """
        found = self._destination(target, port, namespace)
        node = found.pod.spec.node_name
        agent = self._agent(self._node(node))
        where = _place(found, namespace)
        others = {each: end for each, end in self._active.items() if each.where != where}
        fault = Fault(kind, where)

        def mend() -> None:
            # One that took in a fault can be told of its end, also while it is stopped or cut off.
            told = agent if agent.is_running() else self._agent(self._node(node))
            self._tell_ports(told, [each for each in self._active if each != fault])

        self._tell_ports(agent, [*others, fault])
        self._active = {**others, fault: mend}
        return fault

    # -- their end --------------------------------------------------------------------------------

    def mend(self, where: str, kinds: Sequence[str]) -> tuple[Fault, ...]:
        """End the faults of these kinds at one place.

        Raises:
            NotFoundError: there is none.
            KfwdError: one could not be ended; it lasts.
        """
        found = [each for each in self._active if each.where == where and each.kind in kinds]
        if not found:
            places = [each.where for each in self._active if each.kind in kinds]
            raise NotFoundError(
                f"{where} has no fault that could be ended.", hint=did_you_mean(where, places)
            )
        for fault in found:
            self._active[fault]()
            del self._active[fault]
        return tuple(found)

    def clear(self) -> tuple[Fault, ...]:
        """End all faults that can be ended; returns them. The others stay in `active`."""
        ended = []
        for fault, end in tuple(self._active.items()):
            with suppress(KfwdError):
                end()
                del self._active[fault]
                ended.append(fault)
        return tuple(ended)

    # -- inside -----------------------------------------------------------------------------------

    def pod_of(self, target: Target, namespace: str = "default") -> Pod:
        """The pod that a new forward to the target would take.

        Raises:
            KfwdError: there is none; says why.
        """

        async def ask(client: ApiClient) -> Pod:
            return resolve.choose_pod(target, await _inventory(client, target, namespace))

        return self._ask(ask)

    def place(self, target: Target, port: int, namespace: str = "default") -> str:
        """`NAMESPACE/POD:PORT`: that pod, and the port of it that the target's port leads to.

        Raises:
            KfwdError: there is none; says why.
        """
        return _place(self._destination(target, port, namespace), namespace)

    def _destination(self, target: Target, port: int, namespace: str) -> Destination:
        async def ask(client: ApiClient) -> Destination:
            return resolve.resolve(target, port, await _inventory(client, target, namespace))

        return self._ask(ask)

    def _node(self, name: str) -> Node:
        nodes = {each.metadata.name: each for each in self._ask(lambda c: c.list_all(Node))}
        if name not in nodes:
            hint = did_you_mean(f"node/{name}", [f"node/{each}" for each in nodes])
            raise NotFoundError(f'Node "{name}" not found.', hint=hint)
        return nodes[name]

    def _agent(self, node: Node) -> psutil.Process:
        """The process of a node's agent. Before it is ready it would not survive a signal."""
        if not node.ready:
            raise _gone(node.metadata.name)
        return self._process(node.metadata.name)

    def _process(self, node: str) -> psutil.Process:
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._supervisor).children():
                with suppress(psutil.Error, IndexError):
                    if process.cmdline()[-1].endswith(f"{os.sep}{node}.json"):
                        return process
        raise _gone(node)

    def _tell_ports(self, agent: psutil.Process, faults: Iterable[Fault]) -> None:
        ports = {each.where: each.kind for each in faults if each.kind in PORT_FAULTS}
        with _reached("the node's agent"):
            path = Path(agent.cmdline()[-1]).with_suffix(".faults")
            write_private(path, msgspec.json.encode(ports))
            agent.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + HEARD_WITHIN
        while path.exists() and time.monotonic() < deadline:  # the agent takes it
            time.sleep(0.005)

    def _put(self, node: Node) -> None:
        path = resource_of(Node).path(None, node.metadata.name)
        self._request("PUT", path, msgspec.json.encode(node))

    def _request(self, method: str, path: str, body: bytes = b"") -> None:
        async def request(client: ApiClient) -> None:
            assert client.tunnel is not None
            reply = await client.tunnel.request(method, path, body=body)
            if reply.status >= 400:
                raise error_of_response(reply.status, reply.body)

        self._ask(request)

    def _ask(self, question: Callable[[ApiClient], Awaitable[T]]) -> T:
        async def ask() -> T:
            client = await ApiClient.open(load(self._kubeconfig))
            try:
                return await question(client)
            finally:
                client.close()

        return loop_thread().run(ask())


@contextmanager
def _reached(whom: str) -> Iterator[None]:
    try:
        yield
    except psutil.Error as error:
        raise UnavailableError(f"{whom} could not be reached: {error}.") from error


def _gone(node: str) -> UnavailableError:
    return UnavailableError(f"the agent of node/{node} does not run now.")


async def _inventory(client: ApiClient, target: Target, namespace: str) -> Inventory:
    found = await client.inventory(namespace, target.kind)
    resolve.require_namespace(found)
    return found


def _place(found: Destination, namespace: str) -> str:
    return f"{namespace}/{found.pod.metadata.name}:{found.port}"


def _port_of(node: Node) -> int:
    return node.status.daemon_endpoints.kubelet_endpoint.port


def _at_port(node: Node, port: int) -> Node:
    """The node, as if its agent listened there."""
    replace = msgspec.structs.replace
    endpoints = DaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=port))
    return replace(node, status=replace(node.status, daemon_endpoints=endpoints))
