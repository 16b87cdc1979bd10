"""The Tab key on a line of ours: pods, services, namespaces, contexts, running forwards, options.

What a cluster holds is asked for on a thread, and the Tab key waits for it a bounded time; an
answer is kept for some seconds, a late one for the next Tab, and none for another cluster.
"""

from __future__ import annotations

import os
import re
import threading
import time
from argparse import Action
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from kfwd_nb.kube.completing import complete_target
from kfwd_nb.notebook.arguments.fault import FAULT_VERBS, TAKES
from kfwd_nb.notebook.arguments.kfwd import KFWD_COMMANDS, kfwd_parser
from kfwd_nb.notebook.arguments.portforward import portforward_parser
from kfwd_nb.notebook.settings import settings_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

PATIENCE = 0.5
"""Seconds that a press of Tab waits for the cluster."""

FRESH = 5.0
"""Seconds for which an answer is not asked for again."""

MAX_ANSWERS = 64
"""Answers that are kept; beyond, the oldest is forgotten."""

MAX_ASKING = 4
"""Questions to clusters at the same time; one more is not asked while all of them hang."""

Names = Callable[[str, str | None, str | None], Iterable[str]]
"""Kind, namespace and context to names: `listing.names`, and `forward` for running forwards."""

Key = tuple[str, str | None, str | None]
"""What `Names` takes."""

FILES = ("-f", "--file", "--kubeconfig")
"""Options whose value is a file: IPython completes those."""

_LINE = re.compile(r".*?(?<![%\w])%{1,2}(?P<magic>portforward|kfwd)\s+(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the word at the cursor can become.

    Attributes:
        word: what is typed of it.
        fixed: words of ours.
        kind: kind of objects whose names fit, too; empty for none.
        prefix: stands before each of these names.
    """

    word: str
    fixed: tuple[str, ...] = ()
    kind: str = ""
    prefix: str = ""
    namespace: str | None = None
    context: str | None = None


def wanted(text: str) -> Wanted | None:
    """Read a line up to the cursor; None if it is not for us to complete. Pure."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    *words, word = re.split(r"\s+", match["rest"])
    command = match["magic"]
    if command == "kfwd":
        if not words:
            return Wanted(word, KFWD_COMMANDS)
        command, *words = words
    if "--" in words or (words and words[-1] in FILES):
        return None
    return _argument(command, words, word)


def _argument(command: str, words: list[str], word: str) -> Wanted:
    parser = portforward_parser() if command == "portforward" else kfwd_parser(command)
    options = parser.options
    before = words[-1] if words else ""
    place = (_value_of(words, "-n", "--namespace"), _value_of(words, "--context"))
    if _takes_value(before, options):
        return _value(before, options, word, place[1])
    if word.startswith("-"):
        return Wanted(word, (*options, *(("--",) if command == "nsenter" else ())))
    typed = _positional(words, options)
    if command == "fault":
        return _fault(typed, word, place)
    if command == "nsenter":
        return Wanted(word) if typed else Wanted(word, (), "pod", "", *place)
    return _target(typed, word, place) if command == "portforward" else Wanted(word)


def _takes_value(word: str, options: Mapping[str, Action]) -> bool:
    return word.startswith("-") and not (word in options and options[word].nargs == 0)


def _value(option: str, options: Mapping[str, Action], word: str, context: str | None) -> Wanted:
    if option in ("-n", "--namespace"):
        return Wanted(word, kind="namespace", context=context)
    if option == "--context":
        return Wanted(word, kind="context")
    if option == "--hops":
        return Wanted(word, kind="forward")
    if option == "--stop":
        return Wanted(word, ("all",), kind="forward")
    action = options.get(option)
    return Wanted(word, tuple(action.choices or ()) if action is not None else ())


def _target(words: list[str], word: str, place: tuple[str | None, str | None]) -> Wanted:
    found = complete_target(words, word)
    return Wanted(word, found.fixed, found.kind, found.prefix, *place)


def _fault(words: list[str], word: str, place: tuple[str | None, str | None]) -> Wanted:
    """A verb, then what it is about: a node, or as in `%portforward` a target and a port."""
    if not words:
        return Wanted(word, FAULT_VERBS)
    verb, *rest = words
    if verb not in FAULT_VERBS:
        return Wanted(word)
    means_node = bool(word) and "node/".startswith(word[:5])
    if TAKES[verb] == "node" or (TAKES[verb] == "node or port" and means_node):
        return Wanted(word) if rest else Wanted(word, (), "node", "node/")
    return _target(rest, word, place)


def _value_of(words: list[str], *options: str) -> str | None:
    return next((value for option, value in pairwise(words) if option in options), None)


def _positional(words: list[str], options: Mapping[str, Action]) -> list[str]:
    found = []
    before = ""
    for word in words:
        if not word.startswith("-") and not _takes_value(before, options):
            found.append(word)
        before = word
    return found


def place() -> tuple[object, ...]:
    """Where a cluster is looked for now: another place may be another cluster."""
    from kfwd_nb.kube.kubeconfig import announced

    return announced(), os.environ.get("KUBECONFIG")


class KnownNames:
    """Names from clusters, asked for in the background and kept for a while.

    Args:
        ask: gives the names.
        place: what an answer is good for; it changes when another cluster may be the one.
    """

    def __init__(self, ask: Names, place: Callable[[], object] = place) -> None:
        self._ask = ask
        self._place = place
        self._lock = threading.Lock()
        self._answers: dict[tuple[object, Key], tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[tuple[object, Key], threading.Event] = {}

    def get(self, kind: str, namespace: str | None, context: str | None) -> tuple[str, ...]:
        """The names, fresh if they come in time, else those known before. Raises nothing."""
        key = (self._place(), (kind, namespace, context))
        with self._lock:
            asked, names = self._answers.get(key, (-FRESH, ()))
            if time.monotonic() - asked < FRESH:
                return names
            answered = self._asking.get(key)
            if answered is None and len(self._asking) < MAX_ASKING:
                answered = self._asking[key] = threading.Event()
                thread = threading.Thread(
                    target=self._fetch, args=(key,), name="kfwd-completion", daemon=True
                )
                thread.start()
        if answered is not None:
            answered.wait(PATIENCE)
        return self._answers.get(key, (0.0, names))[1]

    def _fetch(self, key: tuple[object, Key]) -> None:
        names: tuple[str, ...] = ()
        try:
            names = tuple(self._ask(*key[1]))
        except Exception:  # noqa: BLE001 - a Tab key that finds nothing says nothing
            names = ()
        with self._lock:
            self._answers.pop(key, None)
            self._answers[key] = (time.monotonic(), names)
            while len(self._answers) > MAX_ANSWERS:
                del self._answers[next(iter(self._answers))]
            self._asking.pop(key).set()


def ask(kind: str, namespace: str | None, context: str | None) -> Iterable[str]:
    """Names of running forwards from this process, of anything else from the cluster."""
    if kind == "forward":
        from kfwd_nb import client

        return [each.name for each in client.forwards()]
    from kfwd_nb.notebook import listing

    return listing.names(kind, namespace, context)


class Completer:
    """The matcher that IPython's completer asks."""

    def __init__(self, shell: InteractiveShell, names: Names = ask) -> None:
        self._shell = shell
        self._ask = names
        self._known = KnownNames(names)

    def register(self) -> None:
        """Add the matcher to the shell's completer."""
        self._shell.Completer.custom_matchers.append(self.match)

    def unregister(self) -> None:
        """Take it back."""
        self._shell.Completer.custom_matchers.remove(self.match)

    @context_matcher()  # type: ignore[untyped-decorator]
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete a line of ours, and keep all other matchers out of it."""
        want = wanted(context.text_until_cursor)
        if want is None:
            return {"completions": [], "suppress": False}
        texts = [each for each in self.texts(want) if each.startswith(want.word)]
        return {
            "completions": [SimpleCompletion(text=text, type="magic") for text in texts],
            "matched_fragment": want.word,
            "suppress": True,
        }

    def texts(self, want: Wanted) -> list[str]:
        """All that the word can become."""
        if not want.kind:
            return list(want.fixed)
        if want.kind == "forward":
            return [*self._ask("forward", None, None), *want.fixed]
        defaults = settings_of(self._shell).defaults()
        names = self._known.get(
            want.kind, want.namespace or defaults.namespace, want.context or defaults.context
        )
        return [f"{want.prefix}{name}" for name in names] + list(want.fixed)
