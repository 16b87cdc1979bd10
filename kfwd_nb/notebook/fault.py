"""`%kfwd fault`: parts of the embedded cluster broken on demand, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.notebook.drawing.render import Sheet
from kfwd_nb.notebook.results import Done

if TYPE_CHECKING:
    from kfwd_nb.cluster.faults import Fault, Faults
    from kfwd_nb.notebook.arguments.fault import FaultOptions
    from kfwd_nb.ports import Target

MENDERS = {"continue": ("stop",), "mend": ("cut", "refuse", "reset", "stall")}
"""The verbs that end faults, and the kinds that each of them ends."""

MEANING = {
    "stop": "its agent is stopped",
    "cut": "its link to the relay is cut",
    "refuse": "new connections are refused",
    "reset": "new connections are reset by their first byte",
    "stall": "of new connections nothing is read",
}


@dataclass(frozen=True, repr=False)
class FaultList(Done):
    """What was done, and the faults that last.

    Attributes:
        did: one sentence; empty where nothing was done.
    """

    did: str
    active: tuple[Fault, ...]

    def sheet(self) -> Sheet:
        """A row for each fault that lasts, with the line that ends it."""
        rows = tuple(
            (each.kind, each.where, MEANING[each.kind], ending_line(each)) for each in self.active
        )
        title = self.did or (f"faults: {len(rows)}" if rows else "no faults: nothing is broken")
        return Sheet(title, (), ("fault", "where", "what it means", "line that ends it"), rows)


def ending_line(fault: Fault) -> str:
    """What a person types to end it."""
    if fault.where.startswith("node/"):
        return f"%kfwd fault {'continue' if fault.kind == 'stop' else 'mend'} {fault.where}"
    namespace, _, rest = fault.where.partition("/")
    pod, _, port = rest.rpartition(":")
    option = f" -n {namespace}" if namespace != "default" else ""
    return f"%kfwd fault mend {pod} {port}{option}"


def fault(faults: Faults, options: FaultOptions) -> FaultList:
    """Do what the line says.

    Raises:
        KfwdError: there is no such place, or no such fault.
    """
    if options.clear:
        ended, left = faults.clear(), faults.active
        said = [f"ended: {_named(ended)}"] if ended else []
        said += [f"could not be ended now: {_named(left)}"] if left else []
        return FaultList("; ".join(said) or "there was no fault", left)
    did = _do(faults, options) if options.verb is not None else ""
    return FaultList(did, faults.active)


def _do(faults: Faults, options: FaultOptions) -> str:
    if isinstance(options.place, str):
        return _to_node(faults, options.verb or "", options.place)
    return _to_pod(faults, options, options.place, options.namespace or "default")


def _to_node(faults: Faults, verb: str, node: str) -> str:
    match verb:
        case "stop":
            faults.stop(node)
            return f"node/{node}: {MEANING['stop']}"
        case "cut":
            faults.cut(node)
            return f"node/{node}: {MEANING['cut']}"
    return f"ended: {_named(faults.mend(f'node/{node}', MENDERS[verb]))}"


def _to_pod(faults: Faults, options: FaultOptions, target: Target, namespace: str) -> str:
    match options.verb, options.port:
        case "kill", _:
            pod = faults.kill(target, namespace)
            return f"killed the processes of pod {namespace}/{pod.metadata.name}"
        case "replace", _:
            pod = faults.replace(target, namespace)
            return f"deleted pod {namespace}/{pod.metadata.name}; its Deployment makes another"
        case ("refuse" | "reset" | "stall") as kind, int(port):
            made = faults.break_port(kind, target, port, namespace)
            return f"{made.where}: {MEANING[kind]}"
        case "mend", int(port):
            where = f"{namespace}/{target.name}:{port}"
            if target.kind != "pod":  # a pod may be gone, and its fault last
                where = faults.place(target, port, namespace)
            ended = faults.mend(where, MENDERS["mend"])
            return f"ended: {_named(ended)}"
    raise AssertionError(options)


def _named(ended: tuple[Fault, ...]) -> str:
    return ", ".join(f"{each.kind} {each.where}" for each in ended)
