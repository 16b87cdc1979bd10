"""Which proxy the environment wants for a server. Pure.

Names and rules are those of Go's `golang.org/x/net/http/httpproxy`, so that `kubectl` and this
project go the same way.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(secure: bool, host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """URL of the proxy for `host`, or None: straight.

    Args:
        secure: the server is an https one: HTTPS_PROXY counts, else HTTP_PROXY.
        host: a name or an address, without brackets.
        port: of the server; NO_PROXY may name it.
        environ: the environment's variables.
    """
    proxy = _variable(environ, "HTTPS_PROXY" if secure else "HTTP_PROXY")
    if not proxy or _is_loopback(host):
        return None
    entries = _variable(environ, "NO_PROXY").split(",")
    if any(_spares(entry.strip().lower(), host.lower(), port) for entry in entries):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower(), "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _spares(entry: str, host: str, port: int) -> bool:
    """An entry of NO_PROXY means this host: `*`, a network, an address, a name with all below."""
    if entry in ("", "*"):
        return entry == "*"
    address = _address(host)
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and _address(entry) is None:
        if int(number) != port:
            return False
        entry = name
    if address is not None or _address(entry) is not None:
        return address is not None and _address(entry) == address
    entry = entry.removeprefix("*")
    return host.endswith(entry) if entry.startswith(".") else f".{host}".endswith(f".{entry}")


def _in_network(address: Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
