"""The local port that `:PORT` tries first: the same one each time, so that bookmarks survive.

Pure. It depends on nothing but its arguments: not on the machine, the process or Python's `hash`.
"""

from __future__ import annotations

import hashlib

from kfwd_nb.ports import Target

FIRST, LAST = 20_000, 29_999
"""Below what Linux gives to outgoing connections (32768, `ip_local_port_range`), and below what
Kubernetes gives to NodePorts (30000 to 32767), which a node among our machines may listen on."""


def stable_port(context: str, namespace: str, target: Target, remote: int) -> int:
    """A number from `FIRST` to `LAST` for a port of a target.

    Two forwards may get the same one; whoever comes second takes any free port.
    """
    words = (context, namespace, str(target), str(remote))
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return FIRST + int.from_bytes(digest[:8], "big") % (LAST - FIRST + 1)
