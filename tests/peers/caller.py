"""Asks `deploy/api` again and again, to see what comes of it while its pod is replaced."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from peers.plain import connect, read_all

RATE = 50
"""Requests a second, each on a connection of its own."""


class Asked(NamedTuple):
    """One request.

    Attributes:
        at: when it was sent, by `time.perf_counter`.
        seconds: until its answer was whole, or until it failed.
        pod: who answered; empty if nobody did.
        trouble: why nobody did.
    """

    at: float
    seconds: float
    pod: str
    trouble: str = ""


class Caller(threading.Thread):
    """Sends a request every fiftieth of a second, however long the others take.

    Attributes:
        asked: what came of them, in the order in which it did.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.asked: list[Asked] = []
        self._port = port
        self._over = threading.Event()

    @property
    def pods(self) -> list[str]:
        """Who has answered, each time."""
        return [each.pod for each in list(self.asked) if each.pod]

    @property
    def troubles(self) -> list[str]:
        """What went wrong, each time."""
        return [each.trouble for each in list(self.asked) if each.trouble]

    def run(self) -> None:
        askers = []
        due = time.perf_counter()
        while not self._over.is_set():
            askers.append(threading.Thread(target=self._ask, daemon=True))
            askers[-1].start()
            due += 1 / RATE
            self._over.wait(max(0.0, due - time.perf_counter()))
        for each in askers:
            each.join()

    def _ask(self) -> None:
        began, pod, trouble = time.perf_counter(), "", ""
        try:
            with connect(self._port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: api\r\n\r\n")
                answer = read_all(sock)
            if answer.startswith(b"HTTP/1.1 200 "):
                pod = answer.rpartition(b"\r\n\r\n")[2].decode().strip()
            else:
                trouble = f"no answer, but {answer!r}"
        except OSError as error:
            trouble = repr(error)
        self.asked.append(Asked(began, time.perf_counter() - began, pod, trouble))

    def stop(self) -> None:
        """Send no more, and wait for the answers."""
        self._over.set()
        self.join()
