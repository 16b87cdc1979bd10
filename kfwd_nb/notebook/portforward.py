"""`%portforward`: start, show and stop forwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_cell_magic, magics_class

from kfwd_nb.errors import KfwdError, NoPortError, NotFoundError, UsageError
from kfwd_nb.notebook.arguments.line import asks_for_help
from kfwd_nb.notebook.arguments.portforward import (
    ForwardOptions,
    ShowOptions,
    StopOptions,
    parse_portforward,
)
from kfwd_nb.notebook.arguments.slips import second_target
from kfwd_nb.notebook.embedded import embedded
from kfwd_nb.notebook.live import INTERVAL, EveryForward, Followed, LiveTable, Source, follower
from kfwd_nb.notebook.notice import Notice
from kfwd_nb.notebook.output import Output, execution, is_kernel, updates_in_place
from kfwd_nb.notebook.proxies import proxy_warning
from kfwd_nb.notebook.settings import settings_of
from kfwd_nb.notebook.wait import Wait
from kfwd_nb.ports import parse_target

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.client import Forward
    from kfwd_nb.client.hops.view import HopView
    from kfwd_nb.client.registry import Outcome
    from kfwd_nb.notebook.dashboard import Dashboard
    from kfwd_nb.notebook.results import Forwards, Stopped
    from kfwd_nb.notebook.shown import Shown

MAX_NAMED = 8
"""Forwards that a hint names."""


@magics_class
class PortforwardMagics(Magics):
    """The magic that this project is named after.

    Args:
        shell: the IPython shell.
        shown: sees to it that nothing is shown twice.
    """

    def __init__(self, shell: InteractiveShell, shown: Shown) -> None:
        super().__init__(shell)
        self._shell = shell
        self._shown = shown

    @line_cell_magic
    def portforward(self, line: str, cell: str | None = None) -> object:
        """Forward local ports to a pod, a service or a deployment, and show what passes.

        ::

            %portforward web 8080:80          localhost:8080 leads to port 80 of the pod web
            %portforward svc/api :80          any free local port, to a pod behind the service api
            fwd = %portforward deploy/api :http
            %portforward                      all forwards and their connections, live
            %portforward --stop web           stop by name, target or local port; or: all
            %portforward --stop               stop the only one there is
            %portforward --hops web           its way drawn, live: where the bytes are, what stands
            %portforward --dashboard          all of them, to handle with the mouse
            %portforward --watch              in a terminal: redraw until Ctrl-C

            %%portforward db :5432            only while this cell runs; the Forward is in `fwd`
            connect(port=fwd.local_port)

        Ports are LOCAL:REMOTE, PORT (the same on both sides), :REMOTE (a free local port, if it can
        be the one that this target had before); REMOTE may be a port's name. Running the same line
        again gives the same forward. `%config Kfwd` shows the defaults, and how to set your own.

        Options::

            -n, --namespace NS    where the target is (else the context's own)
            --context C           which cluster of the kubeconfig (else the current one)
            --kubeconfig FILE     another kubeconfig
            --address A           local address to listen on (localhost)
            --dialect D           auto, websocket, spdy or connect: the wire to the cluster
            --balance             spread connections over the ready pods
            --pod-running-timeout TIME   how long to wait for a pod that runs: 30s, 1m30s
            --as USER, --as-group GROUP  act as that user, if the cluster lets you
            --name N              the forward's name; in a %%portforward cell the variable (fwd)
            --loop thread|kernel  a thread of its own, or the kernel's loop (for code that awaits)
        """
        if cell is not None:
            self._run_as_cell(line, cell)
            return None
        if asks_for_help(line):
            self._shell.run_line_magic("pinfo", "%portforward")
            return None
        defaults = settings_of(self._shell).defaults()
        options = parse_portforward(line, self._shell.user_ns, defaults)
        embedded.notice()
        follower.refresh()
        if isinstance(options, ForwardOptions):
            return self._start(options)
        if isinstance(options, StopOptions):
            return self._stop(options.what)
        return self._show(options)

    def _start(self, options: ForwardOptions) -> Forward:
        wait = Wait(self._shell)
        forward, outcome = start(options, Notice(self._shell), wait)
        show = partial(show_forward, self._shell, forward, note_of(forward, outcome), wait.output)
        self._shown.present(forward, show)
        return forward

    def _stop(self, what: str) -> Stopped:
        from kfwd_nb import client
        from kfwd_nb.notebook.results import Stopped

        chosen = select(what, client.forwards())
        for forward in chosen:
            forward.stop()
        follower.refresh()
        named = str(chosen[0].target) == _target(what) if chosen else False
        rest = others(chosen, client.forwards()) if named else ()
        ports = tuple(port.local for each in chosen for port in each.ports)
        stopped = Stopped(tuple(each.name for each in chosen), rest, ports)
        self._shown.present(stopped, lambda: Output().show(stopped.bundle()))
        return stopped

    def _hops(self, what: str) -> HopView:
        """Draw the way of one forward, and let the picture follow it."""
        from kfwd_nb import client
        from kfwd_nb.notebook.hop_live import LiveHops

        forward = one_of(what, client.forwards())
        output = Output()
        view = forward.hops()
        live = LiveHops(
            forward, output.show, view, owner=execution(self._shell), settle=output.settle
        )
        self._shown.present(view, lambda: self._follow(live))
        return view

    def _follow(self, shown: Followed) -> None:
        """Show it, and go on where an update replaces what it updates."""
        if updates_in_place(self._shell):
            follower.follow(shown)
        else:
            shown.refresh()

    def _show(self, options: ShowOptions) -> Forwards | Dashboard | HopView | None:
        from kfwd_nb import client
        from kfwd_nb.notebook.results import Forwards

        if options.hops is not None:
            return self._hops(options.hops)
        if options.dashboard and is_kernel(self._shell):
            from kfwd_nb.notebook.dashboard import Dashboard

            dashboard = Dashboard()
            self._shown.present(dashboard, dashboard.show)
            return dashboard

        source = EveryForward(client.forwards)
        if options.watch and not is_kernel(self._shell):
            watch(source)
            return None
        forwards = Forwards(tuple(client.forwards()))
        show = partial(show_table, self._shell, source, endless=True)
        self._shown.present(forwards, show)
        return forwards

    def _run_as_cell(self, line: str, cell: str) -> None:
        # A cell that begins with %%portforward never comes here (notebook.cell rewrites it), but
        # one that is called by name, by run_cell_magic, does: it takes the same way from here.
        result = self._shell.run_cell(f"%%portforward {line}\n{cell}")  # type: ignore[no-untyped-call]
        result.raise_error()


def start(options: ForwardOptions, notice: Notice, wait: Wait) -> tuple[Forward, Outcome]:
    """Start the forward, or find the one that is running with the same options.

    Args:
        options: what the line says.
        notice: shows what an exec plugin says.
        wait: shows what takes long.

    Raises:
        KfwdError: it cannot be started, or an interrupt ended the wait.
    """
    from kfwd_nb import client

    if options.context is None and options.kubeconfig is None:
        embedded.check_not_lost()
    failed = True
    try:
        found = client.forward_or_existing(
            str(options.target),
            *options.ports,
            namespace=options.namespace,
            context=options.context,
            kubeconfig=options.kubeconfig,
            address=options.address,
            loop=options.loop,
            name=options.name,
            dialect=options.dialect,
            balance=options.balance,
            pod_running_timeout=options.pod_running_timeout,
            as_user=options.as_user,
            as_groups=options.as_groups,
            notice=notice,
            waits=wait,
        )
        failed = False
    except KeyboardInterrupt:
        raise KfwdError("interrupted; no forward was started.") from None
    except NotFoundError as error:
        if options.kubeconfig is None and (hint := _hint_elsewhere(options)):
            error.hint = hint
        elif isinstance(error, NoPortError) and (line := second_target(options.ports)):
            error.hint = f"{error.hint or ''} If that is another target: `{line}`.".strip()
        raise
    finally:
        notice.over()
        wait.over(failed=failed)
    return found


def _hint_elsewhere(options: ForwardOptions) -> str:
    """Where there is a target of this name, if it is in other namespaces only."""
    from kfwd_nb.notebook import listing

    target = options.target
    try:
        found = listing.elsewhere(target.kind, target.name, options.context)
        here = listing.names(target.kind, options.namespace, options.context)
        namespaces = listing.names("namespace", None, options.context)
    except (KfwdError, KeyboardInterrupt):  # who interrupts it wants the error, not a traceback
        return ""
    mistyped = options.namespace is not None and options.namespace not in namespaces
    if mistyped or not found or target.name in here:
        return ""
    return f'there is one in namespace "{found[0]}": -n {found[0]}.'


def select(what: str, forwards: Sequence[Forward]) -> list[Forward]:
    """The forwards that `--stop` means: by name, target or local port, or `all`.

    Where only one runs, or none, nothing need be said.

    Raises:
        UsageError: none is meant, or nobody knows which.
    """
    if what == "all" or (not what and len(forwards) <= 1):
        return list(forwards)
    hint = _running(forwards)
    if not what:
        raise UsageError("--stop needs a name, a target, a local port, or all.", hint=hint)
    tests: tuple[Callable[[Forward], bool], ...] = (
        lambda each: each.name == what,
        lambda each: any(str(port.local) == what for port in each.ports),
        lambda each: str(each.target) == _target(what),
    )
    for test in tests:
        if chosen := [each for each in forwards if test(each)]:
            return chosen
    raise UsageError(f"no forward has the name, target or local port '{what}'.", hint=hint)


def one_of(what: str, forwards: Sequence[Forward]) -> Forward:
    """The forward that `--hops` means; the only one there is needs no name.

    Raises:
        UsageError: none is meant, or several.
    """
    chosen = list(forwards) if not what and len(forwards) == 1 else []
    if not chosen and what and what != "all":
        chosen = select(what, forwards)
    if len(chosen) == 1:
        return chosen[0]
    raise UsageError(
        "--hops needs the name, target or local port of one forward.", hint=_running(forwards)
    )


def _running(forwards: Sequence[Forward]) -> str:
    """A hint that names the forwards that run, and tells them apart."""
    if not forwards:
        return "nothing is forwarded in this kernel."
    named = [f"{each.name} ({each.described})" for each in forwards[:MAX_NAMED]]
    more = f" and {len(forwards) - MAX_NAMED} more" if len(forwards) > MAX_NAMED else ""
    return f"running: {', '.join(named)}{more}."


def others(
    stopped: Sequence[Forward], running: Sequence[Forward]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """For each target of stopped forwards, the names of those that still lead there."""
    goals = {(each.server, each.namespace, str(each.target)) for each in stopped}
    still: dict[tuple[str, str, str], list[str]] = {}
    for each in running:
        still.setdefault((each.server, each.namespace, str(each.target)), []).append(each.name)
    return tuple((goal[2], tuple(still[goal])) for goal in sorted(goals) if goal in still)


def _target(text: str) -> str | None:
    try:
        return str(parse_target(text))
    except KfwdError:
        return None


def note_of(forward: Forward, outcome: Outcome) -> str:
    """What a new table says above its rows: how it came to be, what would catch its connections."""
    came = {
        "started": "",
        "already": "already forwarding",
        "replaced": f"replaced {forward.replaced} by {forward.name} ({forward.described})",
    }
    return "\n".join(filter(None, (came[outcome], proxy_warning(os.environ))))


def show_forward(
    shell: InteractiveShell, forward: Forward, note: str = "", output: Output | None = None
) -> None:
    """Show one forward's live table in the running cell."""
    from kfwd_nb.client.browser.links import browser

    browser.ask_page(forward.ports)  # now, while the page listens to this cell
    show_table(shell, lambda: (forward,), note=note, output=output)


def show_table(
    shell: InteractiveShell,
    source: Source,
    *,
    note: str = "",
    endless: bool = False,
    output: Output | None = None,
) -> None:
    """Show a table in the running cell, and let it follow its forwards where that can be.

    Args:
        shell: the IPython shell.
        source: the forwards.
        note: a line above them.
        endless: others may come.
        output: the place that it takes; else one of its own.
    """
    output = output or Output()
    table = LiveTable(
        source,
        output.show,
        note=note,
        endless=endless,
        owner=execution(shell),
        settle=output.settle,
    )
    if updates_in_place(shell):
        follower.follow(table)
    else:
        table.refresh()


def watch(source: Source) -> None:
    """Redraw a table in a terminal until Ctrl-C."""
    drawn = 0

    def draw(bundle: dict[str, str]) -> None:
        nonlocal drawn
        text = bundle["text/plain"]
        print(f"\x1b[{drawn}F\x1b[J" if drawn else "", text, sep="", flush=True)
        drawn = text.count("\n") + 1

    table = LiveTable(source, draw, note="Ctrl-C ends this", endless=True)
    try:
        while True:
            table.refresh()
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return
