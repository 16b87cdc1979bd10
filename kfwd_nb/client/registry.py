"""The forwards of this process: which run, and when the same line means the same forward."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack, cast

from kfwd_nb.client.dialing.dialects import checked
from kfwd_nb.client.forward import Forward
from kfwd_nb.client.loops import LoopName
from kfwd_nb.client.parameters import ForwardParameters
from kfwd_nb.errors import ListenError, UsageError, printable
from kfwd_nb.kube.kubeconfig import ClusterAccess, load
from kfwd_nb.kube.waiting import Waits, unheard
from kfwd_nb.ports import parse_ports, parse_target

Outcome = Literal["started", "already", "replaced"]

_running: dict[str, Forward] = {}
_lock = threading.Lock()
"""Held for the moment that a look into `_running` takes."""

_starting = threading.RLock()
"""Held while a forward is looked for and, if there is none, started: for seconds, perhaps."""


def forwards() -> list[Forward]:
    """The forwards that run, oldest first."""
    with _lock:
        for name in [name for name, each in _running.items() if each.state == "stopped"]:
            del _running[name]
        return list(_running.values())


def end(reason: str) -> None:
    """The process ends: stop the forwards whose loop still runs then, and say it of the others."""
    for each in forwards():
        if each.parameters.loop == "thread":
            each.stop(reason)
        else:  # the kernel's own loop has ended, and what it held goes with the process
            each.lose(reason)


class Options(TypedDict, total=False):
    """The options of `forward`, which documents them."""

    namespace: str | None
    context: str | None
    kubeconfig: str | Path | None
    address: str
    loop: str
    name: str | None
    dialect: str | None
    balance: bool
    pod_running_timeout: float | None
    as_user: str | None
    as_groups: Sequence[str]
    notice: Callable[[str], None]
    waits: Waits


def forward(  # noqa: PLR0913 - each is an option of `%portforward`, named as there
    target: str,
    *ports: str | int,
    namespace: str | None = None,
    context: str | None = None,
    kubeconfig: str | Path | None = None,
    address: str = "localhost",
    loop: LoopName = "thread",
    name: str | None = None,
    dialect: str | None = None,
    balance: bool = False,
    pod_running_timeout: float | None = None,
    as_user: str | None = None,
    as_groups: Sequence[str] = (),
) -> Forward:
    """Forward local ports to a pod, a service or a deployment; it listens when this returns.

    The same call again gives the same `Forward`, its connections untouched. A `with` block ends the
    forward only if its own call has started it.

    Args:
        target: `web`, `pod/web`, `svc/api` or `deploy/api`.
        ports: `8080:80`, `80`, `:80` (any free local port, the same one as before if it can be),
            or a port's name. With none, it listens nowhere: see `Forward.open`.
        namespace: of the target; else the context's own.
        context: of the kubeconfig; else its current one.
        kubeconfig: a file; else the embedded cluster that this process started, `KUBECONFIG`,
            `~/.kube/config`, or the service account of the pod that we run in.
        address: to listen on: `localhost` (127.0.0.1 and ::1) or an address of this machine.
        loop: `thread` (works while a cell blocks), or `kernel`: the event loop that runs now.
        name: for `%portforward --stop`; else made from the target.
        dialect: `connect`, `websocket` or `spdy`; else the best that the server speaks.
        balance: spread connections over the ready pods; else all go to one, as long as it lasts.
        pod_running_timeout: seconds to wait for a pod that runs; else up to a minute, if there is
            one on its way.
        as_user: act as that user, if the cluster lets us.
        as_groups: with that user's groups.

    Raises:
        KfwdError: a mistake in the arguments, a port that is taken, a cluster that cannot be
            reached or refuses, a target that is not there; the text says what to do.
    """
    found, outcome = forward_or_existing(
        target,
        *ports,
        namespace=namespace,
        context=context,
        kubeconfig=kubeconfig,
        address=address,
        loop=loop,
        name=name,
        dialect=dialect,
        balance=balance,
        pod_running_timeout=pod_running_timeout,
        as_user=as_user,
        as_groups=as_groups,
    )
    if outcome == "already":
        found.share()
    return found


def forward_or_existing(
    target: str, *ports: str | int, **options: Unpack[Options]
) -> tuple[Forward, Outcome]:
    """As `forward`, and say what happened: `started`, `already` or `replaced`.

    `notice` is told what an exec plugin says, line by line, on another thread; else it goes to
    stderr. `waits` is told every second, on another thread, too, what a start waits for: an exec
    plugin, a pod that shall run. Other options under a name that was given replace the forward of
    that name; without a name, they replace a forward to the same target that holds one of the local
    ports.
    """
    name = options.get("name")
    specs = parse_ports(ports) if ports else ()
    goal = parse_target(target)
    access = _access(options)
    parameters = ForwardParameters(
        target=goal,
        ports=specs,
        namespace=options.get("namespace") or access.namespace,
        context=access.context,
        server=access.server,
        address=options.get("address", "localhost"),
        loop=cast("LoopName", options.get("loop", "thread")),
        dialect=checked(options.get("dialect")),
        balance=options.get("balance", False),
        user=options.get("as_user") or "",
        groups=tuple(options.get("as_groups", ())),
        source=access.source,  # another kubeconfig may mean somebody else
    )
    timeout = options.get("pod_running_timeout")
    with _starting:
        running = forwards()
        for each in running:
            if each.parameters == parameters and name in (None, each.name):
                return each, "already"
        replaced = [each for each in running if _replaces(parameters, name, each)]
        _refuse_taken(parameters, [each for each in running if each not in replaced])
        taken = _running.keys() - {each.name for each in replaced}
        new = Forward(name or _free_name(parameters, taken), parameters, access, timeout)
        try:
            if replaced:
                new.prepare()  # one that cannot be does not end one that is
            for each in replaced:
                each.stop(f"a forward to {goal} took its place")
                with _lock:
                    _running.pop(each.name, None)
            new.replaced = ", ".join(f"{each.name} ({each.described})" for each in replaced)
            new.start()
        except BaseException:
            new.stop()  # interrupted between the two, it has connections already
            raise
        with _lock:
            _running[new.name] = new
        return new, "replaced" if replaced else "started"


def restart(old: Forward) -> Forward:
    """Stop a forward, if it runs, and start it anew: its name, its target, its ports.

    Raises:
        KfwdError: it cannot be started; the old one runs on, unless its port is lost in between.
    """
    with _starting:
        if any(each.name == old.name and each is not old for each in forwards()):
            raise UsageError(f"another forward has the name {old.name} now.")
        _refuse_taken(old.parameters, [each for each in forwards() if each is not old])
        new = old.again()
        try:
            new.prepare()  # one that cannot be does not end one that is
            old.stop()
            new.start()
        except BaseException:
            new.stop()
            raise
        with _lock:
            _running[new.name] = new
        return new


def _access(options: Options) -> ClusterAccess:
    """The cluster, acting as whom the options name.

    Raises:
        UsageError: groups without a user.
        ConfigError: there is no such cluster.
    """
    user, groups = options.get("as_user"), tuple(options.get("as_groups", ()))
    if groups and not user:
        raise UsageError("groups to act with need a user to act as.", hint="name one: --as USER.")
    access = load(options.get("kubeconfig"), options.get("context"))
    access = replace(access, notice=options.get("notice", _say))
    access = replace(access, waits=options.get("waits", unheard))
    if not user:
        return access
    return replace(access, as_user=user, as_groups=groups, as_uid=None, as_extra=())


def _say(line: str) -> None:
    """What an exec plugin says, where nobody else shows it: a code to type, a URL to open."""
    print(printable(line), file=sys.stderr, flush=True)


def _replaces(parameters: ForwardParameters, name: str | None, other: Forward) -> bool:
    if name is not None:
        return other.name == name
    wanted = {spec.local for spec in parameters.ports if spec.local}
    held = {port.local for port in other.ports}
    theirs = other.parameters
    same = (theirs.server, theirs.context, theirs.namespace, theirs.target) == (
        parameters.server,
        parameters.context,
        parameters.namespace,
        parameters.target,
    )
    return same and bool(wanted & held)


def _refuse_taken(parameters: ForwardParameters, running: list[Forward]) -> None:
    """Name the forward of this very process that holds a wanted port."""
    for each in running:
        for port in {spec.local for spec in parameters.ports if spec.local}:
            if each.parameters.address == parameters.address and port in {
                held.local for held in each.ports
            }:
                raise ListenError(
                    f"Unable to listen on port {port}: your forward {each.name} ({each.target}) "
                    "has it.",
                    where="client",
                    hint=f"`%portforward --stop {each.name}` ends that one; :PORT takes any free "
                    "local port (as in :80).",
                )


def _free_name(parameters: ForwardParameters, taken: set[str]) -> str:
    target = parameters.target
    plain = target.name if target.kind == "pod" else str(target)
    ports = "-".join(str(spec.remote) for spec in parameters.ports) or "open"
    candidates = [plain, f"{plain}-{ports}", *(f"{plain}-{ports}-{n}" for n in range(2, 10_000))]
    return next(each for each in candidates if each not in taken)


def _forget() -> None:
    """A forked child has no forwards: their sockets are closed there, and nobody pumps."""
    global _lock, _starting
    _lock, _starting = threading.Lock(), threading.RLock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
