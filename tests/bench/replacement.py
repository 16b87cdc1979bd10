"""A pod of `deploy/api` is replaced under 50 requests a second, through all paths at once."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from measures import connect
from paths import KUBECTL

RATE = 50
"""Requests a second, each on a connection of its own."""

BEFORE, AFTER = 2.0, 6.0
"""Seconds of requests before the pod is deleted, and after."""


class Caller(threading.Thread):
    """Asks and asks, and keeps what came and when."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.answers: list[tuple[float, str]] = []
        self.refused: list[tuple[float, str]] = []
        self._port = port
        self._ended = threading.Event()

    def run(self) -> None:
        askers = []
        due = time.perf_counter()
        while not self._ended.is_set():
            asker = threading.Thread(target=self._ask, daemon=True)
            asker.start()
            askers.append(asker)
            due += 1 / RATE
            self._ended.wait(max(0, due - time.perf_counter()))
        for asker in askers:
            asker.join(60)

    def _ask(self) -> None:
        try:
            with connect(self._port) as sock:
                sock.settimeout(40)
                sock.sendall(b"GET / HTTP/1.1\r\nHost: api\r\n\r\n")
                answer = b""
                while piece := sock.recv(4096):
                    answer += piece
            if not answer:
                raise ConnectionResetError("closed without an answer")
            pod = answer.rpartition(b"\r\n\r\n")[2].decode().strip()
            self.answers.append((time.perf_counter(), pod))
        except OSError as error:
            self.refused.append((time.perf_counter(), str(error)))

    def stop(self) -> None:
        self._ended.set()
        self.join()

    @property
    def pod(self) -> str:
        return max(self.answers)[1]

    def gap(self, since: float) -> float:
        """Seconds, the longest between two answers after `since`."""
        times = sorted(at for at, _ in self.answers if at >= since - 0.1)
        return max((b - a for a, b in itertools.pairwise(times)), default=AFTER)


def replacement(kubeconfig: Path, ports: Mapping[str, int]) -> None:
    """One row for each path; all lose their pod at the same moment."""
    callers = {path: Caller(port) for path, port in ports.items()}
    for caller in callers.values():
        caller.start()
    time.sleep(BEFORE)
    pods = {caller.pod for caller in callers.values()}
    deleted = time.perf_counter()
    words = [str(KUBECTL), "--kubeconfig", str(kubeconfig), "delete", "pod", "--wait=false"]
    subprocess.run([*words, *pods], check=True, capture_output=True)
    time.sleep(AFTER)
    for caller in callers.values():
        caller.stop()
    title = f"a pod of deploy/api is deleted under {RATE} requests a second"
    print(f"\n| {title} | requests after | not answered | longest gap, s | answers by |")
    print("|---|---|---|---|---|")
    for path, caller in callers.items():
        after = sorted(answer for answer in caller.answers if answer[0] > deleted)
        lost = sum(at > deleted for at, _ in caller.refused)
        recovered = after and after[-1][1] not in pods
        gap = f"{caller.gap(deleted):.2f}" if recovered else "never again"
        chain = " then ".join(dict.fromkeys(pod for _, pod in sorted(caller.answers)))
        print(f"| {path} | {len(after) + lost} | {lost} | {gap} | {chain} |", flush=True)
