"""Local ports: binding them, and saying who has one that cannot be had."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from kfwd_nb.client.local.holder import Holder, holder_of
from kfwd_nb.errors import ListenError
from kfwd_nb.ports import bracketed
from kfwd_nb.transport.forks import close_in_children

BACKLOG = 4096
"""Connections that may wait to be accepted."""

PRIVILEGED = 1024
"""The first port that every user may bind."""

FREE_PORT_TRIES = 20
"""How often another free port is drawn when ::1 does not have the one that 127.0.0.1 gave."""


def listen(address: str, port: int, remote: int, *, first: int = 0) -> list[socket.socket]:
    """Listen on a port of `address`, on the same port for each of its families.

    Args:
        address: `localhost`, or an IP address of this machine.
        port: 0 for any free one.
        remote: the port that it leads to, for hints.
        first: with port 0, the one that is taken if it is free.

    Raises:
        ListenError: it is taken (the text names the process), or may not be bound, or the address
            is not ours.
    """
    addresses = _addresses(address)
    free = [*filter(None, (first,)), *[0] * FREE_PORT_TRIES]
    for wanted in [port] if port else free:
        sockets: list[socket.socket] = []
        chosen = wanted
        try:
            for each in addresses:
                sockets.append(_bind(each, chosen))
                chosen = sockets[0].getsockname()[1]
        except OSError as error:
            for sock in sockets:
                sock.close()
            if wanted != port or (wanted == 0 and sockets and error.errno == errno.EADDRINUSE):
                continue
            raise listen_error(error, addresses[len(sockets)], chosen, remote) from None
        for sock in sockets:
            close_in_children(sock)
        return sockets
    raise ListenError(f"no port is free on all of {', '.join(addresses)}.")


def _addresses(address: str) -> tuple[str, ...]:
    if address != "localhost":
        return (address,)
    return ("127.0.0.1", "::1") if _has_ipv6_loopback() else ("127.0.0.1",)


def _has_ipv6_loopback() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_error(error: OSError, address: str, port: int, remote: int) -> ListenError:
    """The error of a bind, in kubectl's words, with who holds the port and what to do."""
    what = f"Unable to listen on port {port}:"
    shown = bracketed(address)
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder is not None else ""
        return ListenError(
            f"{what} {shown}:{port} is in use{by}.", where="client", hint=_hint(holder, remote)
        )
    if error.errno in (errno.EACCES, errno.EPERM) and port < PRIVILEGED:
        return ListenError(
            f"{what} this user may not bind ports below 1024.",
            where="client",
            hint=f"use a port above, as in {port + 8000}:{remote}, or :{remote} for any free one.",
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return ListenError(
            f"Unable to listen: {address} is no address of this machine.",
            where="client",
            hint="without --address it is localhost; 0.0.0.0 is every address of this machine.",
        )
    return ListenError(
        f"{what} {shown}: {error.strerror or error}.", where="client", hint=_hint(None, remote)
    )


def _hint(holder: Holder | None, remote: int) -> str:
    free = f":{remote} for any free one"
    if holder is not None and holder.relation == "server":
        return f"use :{remote} for any free local port."
    if holder is not None and holder.kernel and holder.forwards:
        return f"`%portforward --stop` there, another local port here, or {free}."
    return f"use another local port, or {free}."
