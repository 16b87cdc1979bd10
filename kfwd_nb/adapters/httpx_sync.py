"""httpx: a transport for `httpx.Client`, over the connection pool of httpcore."""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Unpack

import httpcore
import httpx

from kfwd_nb.adapters.targets import ClusterOptions, Targets, in_one_line
from kfwd_nb.errors import KfwdError, WaitError

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
"""What httpx has where nothing is said."""


class PodTransport(httpx.HTTPTransport):
    """Reaches `http://web.default.pod/` and `http://api.default.svc:8080/`.

    Connections are kept alive; closing the client closes them, and the way to the cluster.

    Args:
        verify: for `https`, as httpx takes it.
        http2: speak HTTP/2 with pods that want it, over TLS.
        retries: how often a connection that failed is tried anew.
        limits: of the connections that are open and kept; else those that httpx has.
        options: which cluster, and how to reach it; as for `kfwd_nb.forward`.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        http2: bool = False,
        retries: int = 0,
        limits: httpx.Limits = LIMITS,
        **options: Unpack[ClusterOptions],
    ) -> None:
        self._pool = _Pool(
            Targets(options), **pool_options(verify, limits, http2=http2, retries=retries)
        )


def pool_options(
    verify: ssl.SSLContext | str | bool, limits: httpx.Limits, *, http2: bool, retries: int
) -> dict[str, Any]:
    """What httpx's arguments are called by the pools of httpcore."""
    return {
        "ssl_context": httpx.create_ssl_context(verify=verify),
        "http2": http2,
        "retries": retries,
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
    }


class _Pool(httpcore.ConnectionPool):
    def __init__(self, targets: Targets, **options: Any) -> None:
        super().__init__(network_backend=_Backend(targets), **options)
        self._targets = targets

    def close(self) -> None:
        """Close the connections and stop the forwards."""
        super().close()
        self._targets.close()


@contextmanager
def connecting() -> Iterator[None]:
    """Our errors as those of httpcore, which httpx knows."""
    try:
        yield
    except TimeoutError as error:
        words = in_one_line(error) if isinstance(error, WaitError) else "no TLS in time"
        raise httpcore.ConnectTimeout(words) from error
    except (KfwdError, OSError) as error:
        raise httpcore.ConnectError(in_one_line(error)) from error


class _Backend(httpcore.NetworkBackend):
    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        with connecting():
            return _Stream(self._targets.connect(host, port, timeout))


class _Stream(httpcore.NetworkStream):
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(in_one_line(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(in_one_line(error)) from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        self._socket.settimeout(timeout)
        with connecting():
            try:
                return _Stream(
                    ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
                )
            except BaseException:
                self.close()
                raise

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: whether a kept connection has an end to be read; HTTP/2 or not."""
        if info == "is_readable":
            with selectors.DefaultSelector() as selector:  # select() ends at descriptor 1,024
                selector.register(self._socket, selectors.EVENT_READ)
                return bool(selector.select(0))
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return self._socket if info == "socket" else None
