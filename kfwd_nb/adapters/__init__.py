"""HTTP clients that reach pods by name, through the cluster and without a local port.

    client = httpx.Client(transport=PodTransport())
    client.get("http://web.default.pod/")

    session = requests.Session()
    session.mount("http://", PodAdapter())
    session.get("http://api.default.svc:8080/")

Neither library belongs to this package: it is imported with the class that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import ConfigError

if TYPE_CHECKING:
    from kfwd_nb.adapters.httpx_async import AsyncPodTransport
    from kfwd_nb.adapters.httpx_sync import PodTransport
    from kfwd_nb.adapters.requests_adapter import PodAdapter

__all__ = ["AsyncPodTransport", "PodAdapter", "PodTransport"]

_HOMES = {
    "AsyncPodTransport": ("httpx_async", "httpx"),
    "PodAdapter": ("requests_adapter", "requests"),
    "PodTransport": ("httpx_sync", "httpx"),
}


def __getattr__(name: str) -> Any:
    """Import a class, and the library that it is for.

    Raises:
        ConfigError: the library is not installed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, library = _HOMES[name]
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kfwd_nb"):
            raise
        raise ConfigError(
            f"{name} is for {library}, which is not installed ({error}).",
            hint=f"pip install {library}",
        ) from None
