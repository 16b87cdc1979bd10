"""A pod of `deploy/api` is replaced under 50 requests a second, through all paths at once."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from paths import KUBECTL
from peers.caller import RATE, Caller

BEFORE, AFTER = 2.0, 6.0
"""Seconds of requests before the pod is deleted, and after."""


def gap(caller: Caller, since: float) -> float:
    """Seconds, the longest between two answers after `since`."""
    times = sorted(each.at + each.seconds for each in caller.asked if each.pod)
    after = [at for at in times if at >= since - 0.1]
    return max((b - a for a, b in itertools.pairwise(after)), default=AFTER)


def under_load(
    kubeconfig: Path, ports: Mapping[str, int], doomed: Sequence[str] = (), after: float = AFTER
) -> tuple[dict[str, Caller], float]:
    """Requests through all paths at once, whose pods are deleted in their midst.

    Args:
        kubeconfig: of the cluster.
        ports: the local port of each path.
        doomed: words that name pods to `kubectl delete`; none for those that answer just then.
        after: seconds of requests after the deletion.

    Returns:
        Who asked through each path, and when the pods were deleted.
    """
    callers = {path: Caller(port) for path, port in ports.items()}
    for caller in callers.values():
        caller.start()
    time.sleep(BEFORE)
    pods = doomed or {caller.pods[-1] for caller in callers.values()}
    deleted = time.perf_counter()
    words = [str(KUBECTL), "--kubeconfig", str(kubeconfig), "delete", "pod", "--wait=false"]
    subprocess.run([*words, *pods], check=True, capture_output=True)
    time.sleep(after)
    for caller in callers.values():
        caller.stop()
    return callers, deleted


def replacement(kubeconfig: Path, ports: Mapping[str, int]) -> None:
    """One row for each path; all lose their pod at the same moment."""
    callers, deleted = under_load(kubeconfig, ports)
    title = f"a pod of deploy/api is deleted under {RATE} requests a second"
    print(f"\n| {title} | requests after | not answered | longest gap, s | answers by |")
    print("|---|---|---|---|---|")
    for path, caller in callers.items():
        pods = {each.pod for each in caller.asked if each.at + each.seconds <= deleted}
        after = [each for each in caller.asked if each.at + each.seconds > deleted]
        lost = sum(not each.pod for each in after)
        recovered = caller.pods[-1] not in pods
        longest = f"{gap(caller, deleted):.2f}" if recovered else "never again"
        chain = " then ".join(dict.fromkeys(caller.pods))
        print(f"| {path} | {len(after)} | {lost} | {longest} | {chain} |", flush=True)
