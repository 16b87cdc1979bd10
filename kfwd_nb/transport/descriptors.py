"""The limit of open descriptors: one connection costs two in the client, one in relay and agent."""

from __future__ import annotations

WANTED = 65_536
"""Descriptors that we ask for; the usual soft limit is 1,024."""


def raise_descriptor_limit() -> int | None:
    """Raise the soft limit to `WANTED`, as far as the hard limit allows.

    Returns:
        The soft limit that was in force before, for processes that shall get it back; None where
        the system has no such limit (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft
