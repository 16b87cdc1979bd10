"""Whether programs of this notebook would ask a proxy for a forward's local port. Pure.

Go's programs spare the loopback by themselves; `urllib`, `requests`, `httpx` and `curl` do so only
if NO_PROXY says it. The rules of names are those of Python's `urllib.request`: what is written in
small letters is stronger, even where it is empty.
"""

from __future__ import annotations

from collections.abc import Mapping

HOST = "127.0.0.1"
"""What `Forward.url()` names."""

SCHEMES = ("http", "all", "https")
"""Which proxies can catch it, the likeliest first."""


def proxy_warning(environ: Mapping[str, str]) -> str:
    """One line that says which variable catches `HOST`, and what to do; empty if none does."""
    # Typeshed does not know it; `requests` builds on it, too.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    set_ = [name for scheme in SCHEMES if environ.get(name := _name(f"{scheme}_proxy", environ))]
    no_proxy = _name("no_proxy", environ)
    spared = environ.get(no_proxy, "")
    if not set_ or proxy_bypass_environment(HOST, {"no": spared}):
        return ""
    entries = [each.strip() for each in spared.split(",")] + [HOST, "localhost"]
    cure = f"%env {no_proxy}={','.join(dict.fromkeys(filter(None, entries)))}"
    return f"warning: {set_[0]} sends requests for {HOST} to a proxy; `{cure}` spares it"


def _name(small: str, environ: Mapping[str, str]) -> str:
    """The one of both spellings that counts."""
    return small if small in environ else small.upper()
