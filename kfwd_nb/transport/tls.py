"""TLS contexts: who is trusted, and which protocols are offered by ALPN (RFC 7301)."""

from __future__ import annotations

import ssl
from pathlib import Path

H2 = "h2"
HTTP1 = "http/1.1"


def server_context(
    cert: Path, key: Path, *, clients: Path | None = None, require: bool = False
) -> ssl.SSLContext:
    """TLS for a listener that speaks HTTP/2 and HTTP/1.1.

    Args:
        cert: the server's certificate chain, PEM.
        key: its private key, PEM.
        clients: the CA whose client certificates name their owners; None asks for none.
        require: refuse clients without such a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols([H2, HTTP1])
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
    return context


def client_context(
    ca: Path | None = None,
    *,
    ca_data: bytes | None = None,
    cert: Path | None = None,
    key: Path | None = None,
) -> ssl.SSLContext:
    """TLS for a connection that speaks HTTP/2; `endpoint.dial` offers what it is told instead.

    Args:
        ca: file with the CA that the server's certificate must come from; with neither this nor
            `ca_data`, the machine's own trust store.
        ca_data: the same as PEM bytes.
        cert: our own certificate chain, PEM, where the server asks for one.
        key: its private key, PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None and ca_data is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca, cadata=ca_data.decode() if ca_data else None)
    if cert is not None:
        context.load_cert_chain(cert, key)
    context.set_alpn_protocols([H2])
    return context
