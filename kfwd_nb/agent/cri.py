"""The container runtime's own view of a node's pods, asked by CRI over its Unix socket.

Only what reads: `Version`, `ListPodSandbox`, `PodSandboxStatus`, `ListContainers`,
`ContainerStatus` and `GetContainerEvents` of `runtime.v1.RuntimeService` (cri-api's `api.proto`).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kfwd_nb.agent.cri_pods import FoundContainer, FoundPod
from kfwd_nb.errors import ConfigError, ForbiddenError, KfwdError, UnavailableError

CALL_TIMEOUT = 10.0
"""Seconds for one answer of the runtime."""

MAX_ANSWER = 64 << 20
"""Octets of one answer of the runtime."""

SCHEME = "unix://"

INSTALL = "pip install 'kfwd_nb[cri]'"

_RUNNING, _EXITED = 1, 2
"""`ContainerState` of the CRI; `SANDBOX_READY` is 0."""


class CriError(KfwdError):
    """The runtime does not answer, or with an error of its own."""


class UnimplementedError(CriError):
    """The runtime does not know the call, as containerd before 1.7 those for events."""


class CriClient:
    """A connection to a runtime. Made by `open`; close it.

    Attributes:
        url: of its socket.
        runtime: what it calls itself, with its version.
    """

    def __init__(self, url: str, channel: Any, stub: Any, api: Any) -> None:
        self.url = url
        self.runtime = ""
        self._channel = channel
        self._stub = stub
        self._api = api
        self._sandboxes: dict[str, FoundPod] = {}
        self._exits: dict[str, FoundContainer] = {}

    @classmethod
    async def open(cls, url: str) -> CriClient:
        """Connect, and agree on the version.

        Raises:
            ConfigError: the URL is no Unix socket's, nothing is there, or it is not a CRI of v1.
            ForbiddenError: the socket may not be used.
            UnavailableError: nobody listens on it, or Python's packages for the CRI are missing.
        """
        path = socket_path(url)
        check_socket(path)
        try:
            from cri_api.v1 import api_pb2, api_pb2_grpc
            from grpc import aio
        except ImportError as error:
            raise UnavailableError(
                f"the CRI needs Python's package {error.name}, which is not installed.",
                where="node agent",
                hint=INSTALL,
            ) from None
        channel = aio.insecure_channel(
            f"{SCHEME}{path}",
            options=[
                ("grpc.max_receive_message_length", MAX_ANSWER),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        client = cls(url, channel, api_pb2_grpc.RuntimeServiceStub(channel), api_pb2)  # type: ignore[no-untyped-call]
        try:
            await client._agree()
        except BaseException:
            await client.close()
            raise
        return client

    async def _agree(self) -> None:
        try:
            answer = await self._call("Version", self._api.VersionRequest())
        except UnimplementedError:
            raise ConfigError(
                f"{self.url} does not speak the CRI of version v1.",
                where="node agent",
                hint="containerd speaks it from 1.6, CRI-O from 1.20; containerd's own "
                '`disabled_plugins = ["cri"]`, as Docker\'s packages set it, turns it off.',
            ) from None
        except CriError as error:
            raise ConfigError(
                f"{self.url} is a socket, but nobody there speaks the CRI: {error.what}",
                where="node agent",
            ) from None
        self.runtime = f"{answer.runtime_name} {answer.runtime_version}"

    async def look(self) -> list[FoundPod]:
        """Every pod sandbox that there is, with its containers.

        Raises:
            CriError: the runtime does not answer, or with an error.
        """
        api = self._api
        listed, contained = await asyncio.gather(
            self._call("ListPodSandbox", api.ListPodSandboxRequest()),
            self._call("ListContainers", api.ListContainersRequest()),
        )
        inside: dict[str, list[FoundContainer]] = {}
        for each in contained.containers:
            found = await self._container(each)
            inside.setdefault(each.pod_sandbox_id, []).append(found)
        self._sandboxes = {
            each.id: sandbox
            for each in listed.items
            if (sandbox := await self._sandbox(each)) is not None
        }
        self._exits = {each.id: self._exits[each.id] for each in contained.containers
                       if each.id in self._exits}  # fmt: skip
        return [
            replace(each, containers=tuple(inside.get(each.id, ())))
            for each in self._sandboxes.values()
        ]

    async def events(self) -> AsyncGenerator[None, None]:
        """One item whenever something happens to a container or a sandbox, without end.

        Raises:
            UnimplementedError: this runtime has no events.
            CriError: the runtime went away.
        """
        import grpc

        stream = self._stub.GetContainerEvents(self._api.GetEventsRequest())
        try:
            async for _ in stream:
                yield
        except grpc.RpcError as error:
            raise _typed(self.url, error) from None
        finally:
            stream.cancel()
        raise CriError(f"{self.url} has ended its events.", where="node agent")

    async def close(self) -> None:
        """Give the connection up."""
        await self._channel.close()

    # -- inside -----------------------------------------------------------------------------------

    async def _call(self, method: str, request: Any) -> Any:
        import grpc

        try:
            return await getattr(self._stub, method)(request, timeout=CALL_TIMEOUT)
        except grpc.RpcError as error:
            raise _typed(self.url, error) from None

    async def _sandbox(self, listed: Any) -> FoundPod | None:
        """One sandbox; what does not change while it runs is asked for once."""
        known = self._sandboxes.get(listed.id)
        if known is not None and known.ready == (listed.state == 0):
            return known
        made = FoundPod(
            id=listed.id,
            namespace=listed.metadata.namespace,
            name=listed.metadata.name,
            uid=listed.metadata.uid,
            created=listed.created_at,
            ready=listed.state == 0,
            labels=dict(listed.labels),
            annotations=dict(listed.annotations),
        )
        if not made.ready:
            return made
        request = self._api.PodSandboxStatusRequest(pod_sandbox_id=listed.id, verbose=True)
        try:
            answer = await self._call("PodSandboxStatus", request)
        except GoneError:
            return None
        pid, netns = process_and_netns(answer.info.get("info", ""))
        return replace(made, pid=pid, netns=netns, ip=answer.status.network.ip)

    async def _container(self, listed: Any) -> FoundContainer:
        if listed.id in self._exits:
            return self._exits[listed.id]
        made = FoundContainer(
            id=listed.id,
            name=listed.metadata.name,
            running=listed.state == _RUNNING,
            created=listed.created_at,
            image=listed.image.image,
            image_id=listed.image_ref,
            annotations=dict(listed.annotations),
        )
        if listed.state != _EXITED:
            return made
        try:
            request = self._api.ContainerStatusRequest(container_id=listed.id)
            status = (await self._call("ContainerStatus", request)).status
        except GoneError:
            return replace(made, exit_code=-1, reason="ContainerStatusUnknown")
        self._exits[listed.id] = replace(
            made, exit_code=status.exit_code, reason=status.reason, finished=status.finished_at
        )
        return self._exits[listed.id]


class GoneError(CriError):
    """What was listed is not there any more."""


def socket_path(url: str) -> Path:
    """The path in `unix:///run/containerd/containerd.sock`; a bare path is one, too.

    Raises:
        ConfigError: it is neither.
    """
    path = url.removeprefix(SCHEME)
    if not path.startswith("/"):
        raise ConfigError(
            f"{url!r} names no Unix socket.",
            where="node agent",
            hint="containerd's is usually unix:///run/containerd/containerd.sock, "
            "CRI-O's unix:///run/crio/crio.sock.",
        )
    return Path(path)


def check_socket(path: Path) -> None:
    """Connect once: the system's own answer says more than gRPC's.

    Raises:
        ConfigError: nothing is there, or it is no socket.
        ForbiddenError: it may not be used.
        UnavailableError: nobody listens.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CALL_TIMEOUT)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            raise ConfigError(
                f"there is no CRI socket {path}.",
                where="node agent",
                hint="is the container runtime running on this machine, and is that its socket? "
                "`ls /run/containerd/containerd.sock /run/crio/crio.sock` shows the usual ones.",
            ) from None
        except PermissionError:
            raise ForbiddenError(
                f"the CRI socket {path} may not be used by this user.",
                where="node agent",
                hint="run the node agent as root: it has to enter the pods' namespaces, too.",
            ) from None
        except ConnectionRefusedError:
            raise UnavailableError(
                f"nobody listens on the CRI socket {path}.",
                where="node agent",
                hint="start the container runtime (`systemctl status containerd`); a plain file "
                "in its place gives the same answer.",
            ) from None
        except OSError as error:
            raise UnavailableError(
                f"the CRI socket {path} cannot be used: {error.strerror or error}.",
                where="node agent",
            ) from None


def process_and_netns(info: str) -> tuple[int, str]:
    """PID and path of the network namespace, from the runtime's own verbose words (JSON). Pure.

    containerd and CRI-O both write `pid` and the `runtimeSpec` of the OCI runtime.
    """
    try:
        words = json.loads(info)
        pid = int(words.get("pid") or 0)
        spec = words.get("runtimeSpec") or {}
        namespaces: Sequence[dict[str, str]] = spec.get("linux", {}).get("namespaces", [])
        paths = [each.get("path", "") for each in namespaces if each.get("type") == "network"]
    except (ValueError, AttributeError, TypeError):
        return 0, ""
    return pid, paths[0] if paths else ""


def _typed(url: str, error: Any) -> CriError:
    """A gRPC status as an error of ours. Pure."""
    words = " ".join(str(error.details() or error.code().name).split())[:300]
    match error.code().name:
        case "UNIMPLEMENTED":
            return UnimplementedError(f"{url}: {words}.", where="node agent")
        case "NOT_FOUND":
            return GoneError(f"{url}: {words}.", where="node agent")
        case "DEADLINE_EXCEEDED":
            words = f"no answer in {CALL_TIMEOUT:.0f} s"
    return CriError(f"{url}: {words}.", where="node agent")
