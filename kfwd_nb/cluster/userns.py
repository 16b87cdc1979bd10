"""Become uid 0 of a new user namespace, then run a command: `python -I -S userns.py COMMAND...`.

Only a process with a single thread may make a user namespace for itself (unshare(2)), so this is a
program of its own, run before the node agent, and it imports as little as it can. One uid and one
gid are mapped, the caller's own; nobody needs a privilege for that (user_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000


def enter() -> None:
    """Move this process into a new user namespace as its uid 0.

    Raises:
        OSError: the kernel does not let this user.
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def main() -> None:
    """Enter, then become the command; the PID stays the same."""
    try:
        enter()
    except OSError as error:
        sys.exit(f"no user namespace can be made: {error.strerror}")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - becomes the node agent


if __name__ == "__main__":
    main()
