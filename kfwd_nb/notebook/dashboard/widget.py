"""The widget: what the browser says goes to `actions` and `choices`, what changes goes to it.

Two outputs stand under its cell. The first is the plain table of all forwards, which every host can
show and every saved notebook keeps; the browser hides it while the second one, the widget, lives.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import anywidget
import traitlets
from IPython.core.getipython import get_ipython

from kfwd_nb.client.throughput import KEPT
from kfwd_nb.errors import KfwdError, LimitError, UsageError, printable
from kfwd_nb.notebook.dashboard import actions, script, state
from kfwd_nb.notebook.dashboard.choices import Place, choices
from kfwd_nb.notebook.dashboard.events import Log
from kfwd_nb.notebook.dashboard.history import Sample, samples
from kfwd_nb.notebook.dashboard.questions import Answer, Questions
from kfwd_nb.notebook.dashboard.ways import Ways
from kfwd_nb.notebook.live import EveryForward, LiveTable, follower, look
from kfwd_nb.notebook.output import Output, execution, updates_in_place
from kfwd_nb.notebook.settings import wanted_form

if TYPE_CHECKING:
    from kfwd_nb.client import Forward
    from kfwd_nb.notebook.drawing.render import Bundle

PAGE = Path(__file__).parent / "page"
"""What the browser runs, and how it looks."""

PARTS = ("start", "forwards", "throughput", "way", "connections", "events")
"""What a dashboard is made of."""

STILL_INTERVAL = 2.0
"""Seconds between two updates of the plain form, which nobody sees while the widget lives."""

MAX_OUTPUTS = 16
"""Cells whose plain form of one dashboard is kept up, the last ones that have shown it."""

SEEN_ABOVE = "The dashboard lives while its kernel runs; its last state stands above."

CLOSED = {
    "text/html": '<p class="kfwd">This was a dashboard; what it showed last stands above.</p>',
    "text/plain": "This was a dashboard; what it showed last stands above.",
}

log = logging.getLogger(__name__)

KINDS = ("hello", "act", "choose")
"""What a page asks that is answered."""

Work = Callable[[str, Mapping[str, Any]], Answer]
"""Does what a page asks, on a thread of its own; what to answer."""


class Dashboard(anywidget.AnyWidget):
    """All forwards of this kernel: start, stop and restart them, and see what passes, live.

    ::

        import kfwd_nb
        kfwd_nb.Dashboard()

    Several dashboards and tables show the same forwards and agree with each other.

    A dashboard of one's own has some of the `PARTS`, and those of an inner list side by side::

        kfwd_nb.Dashboard([["forwards", "throughput"], "events"])

    Several of them may stand in boxes of `ipywidgets`, too, among other widgets; `traitlets.link`
    of their `chosen` lets them look at the same forward. A notebook that is opened without its
    kernel shows no box, but the plain table of a dashboard that stands in none.

    Args:
        parts: names of `PARTS`, in the order in which they are to stand, or lists of such names.

    Attributes:
        chosen: name of the forward that is picked; "" for all. It stays when that forward is
            stopped, and when it is not listed any more: then all are shown, until there is one of
            this name again.

    Raises:
        UsageError: there is no such part, or no forward of a name that is to be chosen.
    """

    _esm = script.read(PAGE)
    _css = PAGE / "dashboard.css"

    still = traitlets.Unicode(help="marks the plain form, which a living widget hides").tag(
        sync=True
    )

    snapshot = traitlets.Dict(help="what a browser begins with; then come differences").tag(
        sync=True
    )

    parts: traitlets.List[Any] = traitlets.List(
        help="what it shows: names of `PARTS`, or lists of them"
    ).tag(sync=True)

    chosen = traitlets.Unicode(help="name of the forward that is picked; empty for all").tag(
        sync=True
    )

    _outputs: list[tuple[LiveTable, Output]] = []  # noqa: RUF012 - one that failed is closed, too

    _all: ClassVar[WeakSet[Dashboard]] = WeakSet()

    def __init__(self, parts: Sequence[str | Sequence[str]] = PARTS) -> None:
        from kfwd_nb import client

        parts = _checked_parts(parts)

        self._lock = threading.RLock()
        self._every = EveryForward(client.forwards)
        self._sent = state.State()
        self._seen: object = None
        self._told = int(time.time())  # samples up to this second
        self._ways = Ways(lambda key, html: self.send({"kind": "way", "key": key, "html": html}))
        self._log = Log()
        self._stale = False
        self._stilled = 0.0
        self._serial = 0  # of the differences that were sent
        self._questions = Questions()
        self._outputs = []
        self.owner = execution(get_ipython())
        self.over = False
        super().__init__(still=secrets.token_hex(8), parts=parts)
        self._all.add(self)
        self.on_msg(self._heard)
        follower.follow(self)

    def open(self) -> None:
        """See `ipywidgets.Widget.open`."""
        super().open()
        # ipykernel 7.4 sends what a page says to the subshell that was last to say something on the
        # comm: mostly the main one, which waits for the running cell, or one that is gone with its
        # page. The page names one of its own, which acts at once.
        if hasattr(self.comm, "_reply_subshell_for"):
            setattr(self.comm, "_reply_subshell_for", lambda _, named: named)  # noqa: B010

    # -- display ----------------------------------------------------------------------------------

    def show(self) -> None:
        """Show it in the running cell, if there are cells: its plain form, and the widget."""
        shell = get_ipython()
        if shell is None:
            return
        still, live = Output(), Output()

        def show(bundle: Bundle) -> None:
            html = f'<div data-kfwd-still="{self.still}">{bundle["text/html"]}</div>'
            still.show(bundle | {"text/html": html})

        table = LiveTable(self._source, show, endless=True, settle=still.settle)
        table.refresh()
        if not updates_in_place(shell):
            return  # a terminal prints every update anew: it has what there is, once
        if wanted_form(shell) == "widget":
            live.show(self.bundle() | {"text/html": _sentence(SEEN_ABOVE)})
        self._outputs = [*self._outputs, (table, live)][-MAX_OUTPUTS:]

    def bundle(self) -> dict[str, Any]:
        """The widget, and its plain forms for hosts that know no widgets."""
        from kfwd_nb.notebook.drawing.render import table_bundle
        from kfwd_nb.notebook.drawing.table import build

        data, _ = super()._repr_mimebundle_() or ({}, {})
        return {**data, **table_bundle(build(self._source(), time.time()))}

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        return self.bundle(), {}

    def close(self) -> None:
        """End it; under its cells stays the plain form of what there is now."""
        self.freeze()
        self._outputs = []
        super().close()

    # -- notebook.live.Followed -------------------------------------------------------------------

    def refresh(self) -> bool:
        """Tell the browsers what has changed; False if nothing has."""
        now = time.monotonic()
        with self._lock:
            changed = not self.over and self._refresh(time.time())
            self._stale = self._stale or changed
        self._ways.refresh(now)
        if self._stale and now - self._stilled >= STILL_INTERVAL:
            self._stale, self._stilled = False, now
            for table, _ in self._outputs:
                table.refresh()
        return changed

    def settle(self) -> None:
        """At the end of a cell: a saved notebook shows what there is now."""
        for table, _ in self._outputs:
            table.settle()

    def freeze(self) -> None:
        """Leave the plain form alone: without its kernel the widget is an empty box."""
        with contextlib.suppress(Exception):  # the frontend may be gone
            self.refresh()  # what stands in a box of widgets has no plain form to leave
            self.send({"kind": "over"})
        self.over = True
        for table, live in self._outputs:
            with contextlib.suppress(Exception):  # the frontend may be gone
                table.refresh()
                live.freeze(CLOSED)

    def _refresh(self, now: float) -> bool:
        forwards = self._source()
        second = int(now)
        # The clock may have been set back, or far ahead, as after a sleep of the machine.
        since = max(min(self._told, second), second - KEPT)
        new_samples = self._samples(forwards, since, second)
        seen, moves = look(forwards, now)
        if seen == self._seen and not (moves or new_samples):
            return False
        new = state.read(forwards, now)
        changed = state.difference(self._sent, new)
        self._sent = new
        if new_samples:
            changed["samples"] = new_samples
        if events := self._log.read(forwards):
            changed["events"] = events
        if changed:
            self._serial += 1
            self.send({"kind": "changed", "serial": self._serial, "now": now, **changed})
        # Not before all of it is told: what fails is tried again.
        self._seen, self._told = seen, second
        return bool(changed)

    def _samples(
        self, forwards: Sequence[Forward], first: int, last: int
    ) -> dict[str, list[Sample]]:
        """Throughput of each forward, by its key, and of all, by ""; only where there is some."""
        kept = {"": [each.throughput for each in forwards]}
        kept |= {state.key_of(each): [each.throughput] for each in forwards}
        found = {key: samples(those, first, last) for key, those in kept.items()}
        return {key: those for key, those in found.items() if those}

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """As `ipywidgets` asks for it; a browser that begins gets what the others have."""
        found: dict[str, Any] = super().get_state(key, drop_defaults)
        if "snapshot" in found:
            with self._lock:
                found["snapshot"] = self._whole()
        return found

    def _whole(self) -> dict[str, Any]:
        return self._sent.whole() | {
            "serial": self._serial,
            "now": time.time(),
            "samples": self._samples(self._source(), self._told - KEPT, self._told),
            "events": self._log.lines,
        }

    # -- which forward is picked ------------------------------------------------------------------

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> str:
        name: str = proposal["value"]
        names = list(dict.fromkeys(each.name for each in self._source()))
        # What a page picks is in its dashboard already, and goes by a link to others, which may not
        # have seen that forward before it stopped.
        if name and name not in names and all(each.chosen != name for each in list(self._all)):
            known = f"forwards are {', '.join(names)}." if names else "there are no forwards."
            raise UsageError(f"there is no forward {name!r} to choose.", hint=known)
        return name

    # -- what the browser says --------------------------------------------------------------------

    def _heard(self, _: object, content: object, __: object) -> None:
        """On the kernel's thread, or on a subshell's: nothing is waited for here."""
        if not isinstance(content, Mapping):
            return
        asker, kind = content.get("asker"), content.get("kind")
        if not isinstance(asker, str) or kind not in (*KINDS, "watch", "unwatch"):
            return
        if kind in ("watch", "unwatch"):
            self._watch(str(content.get("key")), asker, looks=kind == "watch")
            return
        if self.over:
            self.send({"kind": "over"})
            return
        if kind == "hello":  # what was said before its script had come, it has not heard
            with self._lock:
                self.send({"kind": "whole", "asker": asker, **self._whole()})
            return
        try:
            new = self._questions.begin(asker)
        except LimitError as error:
            self.send({"kind": "done", "asker": asker, "error": actions.words_of(error)})
            return
        self.send({"kind": "taken", "asker": asker, **self._questions.told(asker)})
        if new:
            work = self._act if kind == "act" else self._choose
            self._begin(work, asker, content)

    def _watch(self, key: str, page: str, *, looks: bool) -> None:
        """A page shows a forward's way, or no more; one whose forward is gone hears nothing."""
        if not looks:
            self._ways.unwatch(key, page)
            return
        with contextlib.suppress(KfwdError):
            self._ways.watch(key, page, self._forward_of(key), time.monotonic())

    def _begin(self, work: Work, asker: str, content: Mapping[str, Any]) -> None:
        try:
            threading.Thread(
                target=self._work, args=(work, asker, content), name="kfwd-dashboard", daemon=True
            ).start()
        except RuntimeError as error:  # the system has no more threads
            self._answer(asker, {"error": printable(f"it could not be begun: {error}.")})

    def _work(self, work: Work, asker: str, content: Mapping[str, Any]) -> None:
        try:
            answer = work(asker, content)
        except KfwdError as error:
            answer = {"error": printable(actions.words_of(error))}
        except Exception as error:
            log.exception("a dashboard's %s", content.get("kind"))
            answer = {"error": printable(f"an internal error: {error!r}.")}
        follower.refresh()
        self._answer(asker, answer)

    def _answer(self, asker: str, answer: Answer) -> None:
        """The end of a question. A page that has missed the last difference sees it here."""
        message = {"kind": "done", "asker": asker, **answer}
        self._questions.end(asker, None if "choices" in answer else message)
        self.send({**message, "serial": self._serial})

    def _act(self, asker: str, content: Mapping[str, Any]) -> dict[str, Any]:
        def tell(line: str) -> None:
            message = {"kind": "said", "asker": asker, "line": printable(line)}
            self._questions.tell(asker, message)
            self.send(message)

        note = actions.perform(str(content.get("what")), content, self._forward_of, tell)
        return {"note": printable(note)}

    def _choose(self, asker: str, content: Mapping[str, Any]) -> dict[str, Any]:
        words = (str(content.get(name) or "") for name in ("context", "namespace", "target"))
        return {"choices": choices(Place(*words))}

    def _source(self) -> list[Forward]:
        return state.standing(self._every())

    def _forward_of(self, key: str) -> Forward:
        return actions.find(self._source(), key)


def _checked_parts(parts: Sequence[str | Sequence[str]]) -> list[str | list[str]]:
    rows = list(parts) if isinstance(parts, list | tuple) else []
    rows = [list(each) if isinstance(each, list | tuple) else each for each in rows]
    names = [name for row in rows for name in (row if isinstance(row, list) else [row])]
    unknown = [each for each in names if each not in PARTS]
    if unknown or not names:
        wrong = (
            f"a dashboard has no part {unknown[0]!r}."
            if unknown
            else "the parts of a dashboard are a list, and not an empty one."
        )
        hint = f"parts are a list of {', '.join(PARTS)}; those of a list in it stand side by side."
        raise UsageError(wrong, hint=hint)
    return rows


def _sentence(text: str) -> str:
    return f'<p class="kfwd">{text}</p>'
