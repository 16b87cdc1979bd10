"""Processes as the system shows them: those of an embedded cluster, and whether one still runs."""

from __future__ import annotations

import contextlib

import psutil


def processes(cluster) -> dict[str, psutil.Process]:
    """Client, relay and agents of a cluster."""
    found = {"client": psutil.Process()}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(cluster.kubeconfig.parent) in word for word in words):
            module = words[words.index("-m") + 1] if "-m" in words else ""
            if module in ("kfwd_nb.relay", "kfwd_nb.agent"):
                found[f"{module} {process.pid}"] = process
    assert len(found) >= 3, found
    return found


def runs(process: psutil.Process) -> bool:
    """Not gone, nor waiting for somebody to ask how it ended; another with its PID is not it."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it may end between the two questions
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
