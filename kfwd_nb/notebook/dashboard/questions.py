"""What pages have asked, and what they were told: a page that has heard no answer asks again.

Jupyter's server drops messages to a browser when there are many (`iopub_msg_rate_limit`), and
nobody hears of it. So a page asks until it is answered, and each thing is done once, however often
it is asked. Pure: no widget, no thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from kfwd_nb.errors import LimitError

MAX_BUSY = 16
"""Actions and questions of a dashboard under way at once; one more is refused in words."""

MAX_ANSWERS = 200
"""Answers that are kept for those who did not hear them, the last ones."""

Answer = Mapping[str, Any]


class Questions:
    """Questions under way and the last answers, by the name that the page gave each question."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._last: OrderedDict[str, Answer] = OrderedDict()

    def begin(self, name: str) -> bool:
        """True if it is new, and under way from now on.

        Raises:
            LimitError: `MAX_BUSY` are under way.
        """
        with self._lock:
            if name in self._under_way or name in self._last:
                return False
            if len(self._under_way) >= MAX_BUSY:
                raise LimitError(f"{MAX_BUSY} things are under way; wait for one to end.")
            self._under_way.add(name)
            return True

    def tell(self, name: str, message: Answer) -> None:
        """Keep what its page is told meanwhile; once it is over, its answer stands."""
        with self._lock:
            if name in self._under_way:
                self._last[name] = message

    def end(self, name: str, answer: Answer | None) -> None:
        """It is over. Without an answer to keep, it is new when it is asked again."""
        with self._lock:
            self._under_way.discard(name)
            if answer is None:
                self._last.pop(name, None)
            else:
                self._last[name] = answer
            while len(self._last) > MAX_ANSWERS + MAX_BUSY:
                oldest = next(each for each in self._last if each not in self._under_way)
                del self._last[oldest]

    def told(self, name: str) -> Answer:
        """What its page was told last; empty if nothing was."""
        with self._lock:
            return self._last.get(name, {})
