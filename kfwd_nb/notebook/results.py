"""What the magics return: plain objects that know how to show themselves.

`Result` answers a question and is shown by IPython where it stands last, as any value is. `Done`
has acted, and was shown when it did (`notebook.shown`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from kfwd_nb.notebook.drawing.render import Bundle, Sheet, in_form, sheet_bundle, sheet_text
from kfwd_nb.notebook.settings import wanted_form

if TYPE_CHECKING:
    from kfwd_nb.agent.config import Isolation
    from kfwd_nb.client import Forward


class Result:
    """Something that a magic returned."""

    def sheet(self) -> Sheet:
        """What there is to show."""
        raise NotImplementedError

    def bundle(self) -> Bundle:
        """HTML and text."""
        return sheet_bundle(self.sheet())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return in_form(self.bundle(), wanted_form(get_ipython()))

    def __repr__(self) -> str:
        return sheet_text(self.sheet())


class Done(Result):
    """The result of a magic that did something, and showed at once what it did."""


@dataclass(frozen=True, repr=False)
class Forwards(Done):
    """The forwards that were running when `%portforward` was asked; its table goes on living."""

    forwards: tuple[Forward, ...]

    def __iter__(self) -> Iterator[Forward]:
        return iter(self.forwards)

    def __len__(self) -> int:
        return len(self.forwards)

    def sheet(self) -> Sheet:
        """One line for each; the live table shows more."""
        return Sheet(f"{len(self)} forwards", tuple(repr(each) for each in self))


@dataclass(frozen=True, repr=False)
class Stopped(Done):
    """What `%portforward --stop` stopped.

    Attributes:
        others: for each target, the forwards that still lead there.
        ports: the local ports that they had.
    """

    names: tuple[str, ...]
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ports: tuple[int, ...] = ()

    def sheet(self) -> Sheet:
        """What is stopped, what still leads there, what is free again."""
        if not self.names:
            return Sheet("nothing to stop")
        others = "; ".join(
            f"{len(names)} other{'s lead' if len(names) > 1 else ' leads'} to {target}: "
            f"{', '.join(names)}"
            for target, names in self.others
        )
        title = f"stopped: {', '.join(self.names)}{f' ({others})' if others else ''}"
        word = "ports" if len(self.ports) > 1 else "port"
        numbers = ", ".join(map(str, self.ports))
        return Sheet(title, (f"local {word} free again: {numbers}",) if numbers else ())


@dataclass(frozen=True, repr=False)
class ClusterUp(Done):
    """The embedded cluster that `%kfwd up` started, or found running.

    Attributes:
        seconds: from the command to the last pod's readiness.
        pods: as NAMESPACE/NAME.
        already: it was running before.
        isolation_line: how pods are kept apart, and why not better; empty if it never said.
        lost: what became of the forwards into a cluster before it; may be empty.
    """

    name: str
    isolation: Isolation
    relay: str
    kubeconfig: str
    pods: tuple[str, ...]
    seconds: float
    already: bool = False
    isolation_line: str = ""
    lost: str = ""

    def sheet(self) -> Sheet:
        """What it is, what it holds, what to try next."""
        from kfwd_nb.agent.isolation import MEANING

        title = (
            f"cluster {self.name} is already up"
            if self.already
            else f"cluster {self.name} is ready after {self.seconds:.1f} s"
        )
        lines = (
            *((self.lost,) if self.lost else ()),
            self.isolation_line or f"isolation {self.isolation}: {MEANING[self.isolation]}",
            f"pods: {', '.join(self.pods)}",
            "KUBECONFIG is set for this kernel, until %kfwd down",
            "next, try:",
        )
        return Sheet(title, lines, code=(self.next_line,))

    @property
    def next_line(self) -> str:
        """A line that works now."""
        names = [pod.removeprefix("default/") for pod in self.pods]
        return "%portforward web :80" if "web" in names else "%kfwd services"


@dataclass(frozen=True, repr=False)
class ClusterDown(Done):
    """What `%kfwd down` ended.

    Attributes:
        already: it was down before.
    """

    name: str
    stopped: tuple[str, ...]
    already: bool = False

    def sheet(self) -> Sheet:
        """What is gone."""
        if self.already:
            return Sheet(f"there is no embedded cluster; {self.name} is down already")
        forwards = f"forwards stopped: {', '.join(self.stopped)}"
        lines = (forwards,) if self.stopped else ()
        return Sheet(f"cluster {self.name} is down, nothing is left of it", lines)


@dataclass(frozen=True, repr=False)
class ClusterStatus(Result):
    """What `%kfwd status` found.

    Attributes:
        where: context and server of the cluster that magics use now.
        embedded: it is the one that `%kfwd up` started in this kernel.
        nodes: rows of name, isolation and readiness.
        pods: how many are ready, of how many.
        forwards: how many are running in this kernel.
        isolation_line: what `%kfwd up` said of the isolation; empty for another's cluster.
        refusals: what the cluster does not let us see, in its own words.
    """

    context: str
    server: str
    embedded: bool
    nodes: tuple[tuple[str, str, str], ...]
    pods: tuple[int, int]
    forwards: int
    isolation_line: str = ""
    refusals: tuple[str, ...] = ()

    def sheet(self) -> Sheet:
        """The cluster in a few lines."""
        from kfwd_nb.agent.isolation import MEANING

        kind = "embedded cluster" if self.embedded else "cluster"
        isolations = {row[1] for row in self.nodes}
        lines = (
            f"relay {self.server}" if self.embedded else f"server {self.server}",
            *(
                (self.isolation_line,)
                if self.isolation_line
                else (
                    f"isolation {each}: {MEANING[each]}" for each in MEANING if each in isolations
                )
            ),
            f"pods ready: {self.pods[0]} of {self.pods[1]}; forwards running: {self.forwards}",
            *self.refusals,
        )
        head = ("node", "isolation", "status")
        return Sheet(f"{kind} {self.context}", lines, head, self.nodes)


@dataclass(frozen=True, slots=True)
class PodLine:
    """One pod of a list, and the line that forwards its first port.

    `pid` is empty where the pod is not on this machine, `line` where the pod declares no port.
    """

    namespace: str
    name: str
    ready: str
    status: str
    restarts: int
    ports: str
    node: str
    pid: str
    line: str = ""


@dataclass(frozen=True, repr=False)
class PodList(Result):
    """What `%kfwd pods` found."""

    where: str
    pods: tuple[PodLine, ...]

    def __iter__(self) -> Iterator[PodLine]:
        return iter(self.pods)

    def __len__(self) -> int:
        return len(self.pods)

    def sheet(self) -> Sheet:
        """A row for each."""
        head = (
            *("namespace", "pod", "ready", "status", "restarts", "ports", "node", "pid"),
            "line to copy",
        )
        rows = tuple(
            (
                *(each.namespace, each.name, each.ready, each.status),
                *(str(each.restarts), each.ports, each.node, each.pid, each.line),
            )
            for each in self.pods
        )
        return Sheet(f"pods in {self.where}", () if rows else ("none",), head, rows)


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One port of a service, and the line that forwards it."""

    namespace: str
    name: str
    port: int
    port_name: str
    line: str


@dataclass(frozen=True, repr=False)
class ServiceList(Result):
    """What `%kfwd services` found."""

    where: str
    services: tuple[ServiceLine, ...]

    def __iter__(self) -> Iterator[ServiceLine]:
        return iter(self.services)

    def __len__(self) -> int:
        return len(self.services)

    def sheet(self) -> Sheet:
        """A row for each port."""
        head = ("namespace", "service", "port", "name", "line to copy")
        rows = tuple(
            (each.namespace, each.name, str(each.port), each.port_name, each.line)
            for each in self.services
        )
        return Sheet(f"services in {self.where}", () if rows else ("none",), head, rows)


@dataclass(frozen=True, repr=False)
class Entered(Result):
    """What a command said in a pod's network namespace.

    Attributes:
        line: the very command line that ran on this machine.
        note: what is special about it; may be empty.
        output: of both its streams, in the order in which they came.
        status: exit status; negative for a signal.
    """

    line: str
    note: str
    output: str
    status: int

    def sheet(self) -> Sheet:
        """The command line, its output, its exit status."""
        lines = (*((self.note,) if self.note else ()), f"exit status {self.status}")
        code = (self.output.rstrip("\n"),) if self.output.strip() else ()
        return Sheet(self.line, lines, code=code)
