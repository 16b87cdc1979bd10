"""The processes of an embedded cluster, as the system shows them."""

from __future__ import annotations

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
