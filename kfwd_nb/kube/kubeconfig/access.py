"""One context, resolved: how its API server is reached, and as whom."""

from __future__ import annotations

import functools
import os
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig.credentials import Anonymous, Credential, Credentials
from kfwd_nb.kube.kubeconfig.proxy_choice import proxy_for
from kfwd_nb.kube.waiting import Waits, unheard
from kfwd_nb.transport.endpoint import Endpoint

MAX_CONTEXTS = 16
"""TLS contexts that are kept; one is made of files in some 10 ms, and every upgrade needs one."""


def _unheard(line: str) -> None:
    """Where nobody shows what an exec plugin says."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the API server is, who is asking, and in which namespace.

    Two are equal when they name the same; what has been found out so far (a plugin's token) does
    not count. `dataclasses.replace` makes another that shares the credentials.

    Attributes:
        context: the context's name.
        server: the API server's URL, `https://` or `http://`, perhaps with a path.
        namespace: the context's own; `default` if it names none.
        source: where this was found, for messages.
        embedded: it is the embedded cluster that this process started.
        ca_data: the CA that the server's certificate must come from, PEM; None: the machine's own.
        server_name: the name in the server's certificate, if it is not the URL's host.
        insecure: any certificate will do.
        proxy_url: the proxy that the kubeconfig names; else the environment's is taken.
        as_user: whom to act as (impersonation), if not as oneself.
        as_groups: the groups of that user.
        as_uid: the UID of that user.
        as_extra: further attributes of that user: name and values.
        credentials: the proof of who is asking.
        notice: told what an exec plugin says on stderr, line by line, on the loop that waits.
        waits: told while an exec plugin, or a pod that shall run, is waited for.
    """

    context: str
    server: str
    namespace: str
    source: str
    embedded: bool = False
    ca_data: bytes | None = None
    server_name: str | None = None
    insecure: bool = False
    proxy_url: str | None = None
    as_user: str | None = None
    as_groups: tuple[str, ...] = ()
    as_uid: str | None = None
    as_extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    credentials: Credentials = field(default_factory=Anonymous, compare=False, repr=False)
    notice: Callable[[str], None] = field(default=_unheard, compare=False, repr=False)
    waits: Waits = field(default=unheard, compare=False, repr=False)

    @property
    def host(self) -> str:
        """Host of the API server."""
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        """Port of the API server."""
        url = urlsplit(self.server)
        return url.port or (443 if url.scheme == "https" else 80)

    def path(self, path: str) -> str:
        """A path of the API below the server's own (`/k8s/clusters/c-1` before it, at Rancher)."""
        return urlsplit(self.server).path.rstrip("/") + path

    async def endpoint(self) -> Endpoint:
        """The server and the way to it; every call may give another client certificate.

        Raises:
            ConfigError: certificates or credentials cannot be used.
        """
        secure = urlsplit(self.server).scheme == "https"
        proxy = self._proxy(secure)
        tls = await self._tls() if secure else None
        return Endpoint(self.host, self.port, tls, self.server_name, proxy)

    def _proxy(self, secure: bool) -> str | None:
        found = self.proxy_url or proxy_for(secure, self.host, self.port, os.environ)
        if found is not None:
            from kfwd_nb.transport.proxies import proxy_url

            variable = "HTTPS_PROXY" if secure else "HTTP_PROXY"
            where = "proxy-url" if self.proxy_url else f"the environment's {variable}"
            proxy_url(found, f"{self.source}: {where}" if self.proxy_url else where)
        return found

    async def headers(self) -> dict[str, str]:
        """Fields that go with every request; lines of one name are joined by NUL.

        `transport.http.header_lines` takes them apart.

        Raises:
            ConfigError: the credentials cannot be had.
        """
        return self.fields(await self.credential())

    async def credential(self) -> Credential:
        """The proof that is valid now; `forget_credentials` wants it if the server refuses it.

        Raises:
            ConfigError: it cannot be had.
        """
        return await self.credentials.current(self.notice, self.waits)

    def fields(self, credential: Credential) -> dict[str, str]:
        """See `headers`; with this credential.

        Raises:
            ConfigError: a name or a value of the impersonation is no text for a header field.
        """
        fields = dict(credential.headers)
        if self.as_user is not None:
            fields["impersonate-user"] = self.as_user
        if self.as_uid is not None:
            fields["impersonate-uid"] = self.as_uid
        if self.as_groups:
            fields["impersonate-group"] = "\0".join(self.as_groups)
        for name, values in self.as_extra:
            fields[f"impersonate-extra-{_escaped(name)}"] = "\0".join(values)
        for name, value in fields.items():
            if name.startswith("impersonate-"):
                self._check_text(name, value)
        return fields

    def _check_text(self, name: str, value: str) -> None:
        """RFC 9110 §5.5; NUL is what `headers` puts between lines."""
        for line in value.split("\0"):
            if not (line.isascii() and line.isprintable() and line == line.strip()):
                raise ConfigError(
                    f"{self.source}: {line[:100]!r} cannot be sent as {name}: a header field holds "
                    "printable ASCII characters, and no space at its ends."
                )

    def forget_credentials(self, refused: Credential) -> bool:
        """After a 401: have others made for the next request; False if none can be."""
        return self.credentials.forget(refused)

    async def _tls(self) -> ssl.SSLContext:
        found = await self.credential()
        try:
            return _context(
                threading.get_ident(), self.ca_data, found.certificate, found.key, self.insecure
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.source}: the certificates cannot be used: {error}.") from None


def _escaped(name: str) -> str:
    """A key as the last part of a field's name (client-go `headerKeyEscape`).

    What may be in a field's name stays (RFC 9110 §5.6.2), but for the percent sign.
    """
    return quote(name, safe="!#$&'*+^`|").lower()


@functools.lru_cache(maxsize=MAX_CONTEXTS)
def _context(
    _thread: int,
    ca_data: bytes | None,
    certificate: bytes | None,
    key: bytes | None,
    insecure: bool,
) -> ssl.SSLContext:
    """One for each thread, for `endpoint.dial` writes what it offers by ALPN into it."""
    from kfwd_nb.transport.tls import client_context

    context = client_context(ca_data=ca_data)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        with _readable(certificate + b"\n" + (key or b"")) as path:
            context.load_cert_chain(path, password=_no_password)
    return context


def _no_password() -> str:
    """Without this OpenSSL would ask on the terminal that the kernel was started from."""
    raise ValueError("the key is encrypted, and no password can be given")


@contextmanager
def _readable(content: bytes) -> Iterator[str]:
    """A path that holds `content` for a moment: OpenSSL takes certificates of ours from files."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("kfwd")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="kfwd-") as folder:  # 0700
        path = Path(folder) / "pem"
        path.touch(0o600)
        path.write_bytes(content)
        yield str(path)
