"""Links for the browser: the way from there to here, found once, and checked when it is asked for.

`known` costs no more than one small file, and may be called from any thread; `checked` asks the
Jupyter server, or the page of Colab, and waits for the answer.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from kfwd_nb.client.browser import places
from kfwd_nb.client.browser.places import JupyterServer, Way
from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.errors import UnavailableError
from kfwd_nb.ports import bracketed

CHECK_TIME = 2.0
"""Seconds that a Jupyter server has for its answer."""

COLAB_TIME = 5.0
"""Seconds that the page of Colab has to say what leads to a port."""

MAX_SERVER_FILE = 65536
"""Bytes of a file in which a Jupyter server tells about itself."""

Answer = Literal["there", "missing"]


class Link(str):
    """A URL for the browser.

    Attributes:
        note: what could not be made sure of; empty if all is well.
    """

    note: str

    def __new__(cls, url: str, note: str = "") -> Self:
        """A string with a note."""
        self = super().__new__(cls, url)
        self.note = note
        return self


class Browser:
    """The browser that shows what this process has to show, as far as it is known."""

    def __init__(self) -> None:
        self._template = ""
        self._way: Way | None = None
        self._server: JupyterServer | None = None
        self._proxy_seen = False
        self._of_colab: dict[int, str] = {}

    def set_template(self, template: str) -> None:
        """Take the user's own link, with `{port}` in it; an empty one: what fits the place.

        Raises:
            UsageError: it has no port in it.
        """
        self._template = places.checked_template(template)
        self._way = None

    @property
    def way(self) -> Way:
        """What leads from the browser to here."""
        if self._way is None:
            self._server = parent_server()
            self._way = places.way(os.environ, self._server, self._template)
        return self._way

    def known(
        self,
        port: ForwardedPort,
        path: str = "/",
        *,
        scheme: str = "http",
        absolute: bool = False,
    ) -> str:
        """The link to a port, as far as it is known without asking; empty if there is none."""
        if host := places.direct(port.address):
            return places.joined(f"{scheme}://{host}:{port.local}", path)
        if self.way.place == "colab":
            known = self._of_colab.get(port.local)
            return places.joined(known, path) if known and scheme == "http" else ""
        return self.way.link(port.local, path, scheme=scheme, absolute=absolute)

    def checked(
        self,
        port: ForwardedPort,
        path: str = "/",
        *,
        scheme: str = "http",
        absolute: bool = False,
    ) -> Link:
        """The link to a port, after a look at what has to be there for it to work.

        Raises:
            UnavailableError: it cannot work: the server has no jupyter-server-proxy, the page of
                Colab does not say what leads here, or it is no plain HTTP.
        """
        note = ""
        if not places.direct(port.address):
            if self.way.place == "colab" and port.local not in self._of_colab:
                self._of_colab[port.local] = ask_colab(port.local)
            if self.way.proxied:
                note = self._check(port)
        url = self.known(port, path, scheme=scheme, absolute=absolute)
        if not url:
            raise UnavailableError(
                f"what leads from your browser to local port {port.local} speaks plain HTTP to it, "
                f"not {scheme}.",
                where="client",
                hint="forward a port that speaks plain HTTP, or set %config Kfwd.link.",
            )
        return Link(url, note)

    def ask_page(self, ports: Iterable[ForwardedPort]) -> None:
        """On Colab, ask its page for the links of a table; what it does not say is left out."""
        if self.way.place == "colab":
            for port in ports:
                with contextlib.suppress(UnavailableError):
                    self.checked(port)

    def _check(self, port: ForwardedPort) -> str:
        """Make sure of the proxy; why that could not be, in a sentence."""
        if self._proxy_seen:
            return ""
        server = self._server or hub_server()
        if server is None:
            return "not checked: nothing here tells where the Jupyter server is."
        answer, why = ask_for_proxy(server)
        if answer == "missing":
            raise no_proxy(server, port)
        self._proxy_seen = answer == "there"
        return "" if self._proxy_seen else f"not checked: {why}."


def no_proxy(server: JupyterServer, port: ForwardedPort) -> UnavailableError:
    """What to say, and where to install what is missing."""
    return UnavailableError(
        "jupyter-server-proxy is not installed, or switched off, in the environment of the Jupyter "
        f"server ({_shown(server)}): the browser cannot reach local port {port.local} by it.",
        where="client",
        hint="pip install jupyter-server-proxy there, which may be another environment than this "
        "kernel's, and restart the server. On this machine, http://localhost:"
        f"{port.local}/ is the page; another way is set by %config Kfwd.link.",
    )


def ask_for_proxy(server: JupyterServer) -> tuple[Answer | None, str]:
    """Ask a Jupyter server for jupyter-server-proxy: what it says, or why it does not.

    The list of its programs is what the extension serves whatever is installed beside it. The token
    goes to this machine only, and not by TLS, which nobody could verify here.
    """
    if server.secure:
        return None, f"the Jupyter server at {_shown(server)} speaks TLS"
    import http.client

    path = places.joined(server.base_url, "server-proxy/servers-info")
    headers = {"Authorization": f"token {server.token}"} if server.token else {}
    connection = http.client.HTTPConnection(_host(server), server.port, timeout=CHECK_TIME)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers=headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return None, f"the Jupyter server at {_shown(server)} does not answer ({error})"
    if status == http.client.OK:
        return "there", ""
    if status == http.client.NOT_FOUND:
        return "missing", ""
    return None, f"the Jupyter server at {_shown(server)} wants a login (HTTP {status})"


def _host(server: JupyterServer) -> str:
    return "127.0.0.1" if server.address in places.ANY_ADDRESS else server.address


def _shown(server: JupyterServer) -> str:
    return f"http://{bracketed(_host(server))}:{server.port}{server.base_url}"


def ask_colab(port: int) -> str:
    """Ask the page of Colab what leads to a port; only while a cell runs, and somebody looks.

    Raises:
        UnavailableError: it does not say.
    """
    try:
        output = importlib.import_module("google.colab.output")
        script = f"google.colab.kernel.proxyPort({port}, {{cache: true}})"
        return str(output.eval_js(script, timeout_sec=COLAB_TIME))
    except Exception as error:  # noqa: BLE001 - Colab's classes are nowhere but there
        raise UnavailableError(
            f"the page of Colab does not say what leads to local port {port}: {error}",
            where="client",
            hint="ask in a cell, while its notebook is open in a browser.",
        ) from None


def parent_server() -> JupyterServer | None:
    """The Jupyter server that started this kernel, by the file that it keeps while it runs."""
    with contextlib.suppress(ImportError, OSError, ValueError, KeyError, TypeError):
        from jupyter_core.paths import jupyter_runtime_dir

        parents = (os.environ.get("JPY_PARENT_PID", ""), str(os.getppid()))
        files = [Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json" for parent in parents]
        for file in files:
            if file.is_file():
                with file.open("rb") as opened:
                    return server_of(json.loads(opened.read(MAX_SERVER_FILE)))
    return None


def server_of(info: dict[str, object]) -> JupyterServer | None:
    """What such a file says; nothing for a server without a port, on a Unix socket."""
    port = info["port"]
    if info.get("sock") or not isinstance(port, int) or port <= 0:
        return None
    return JupyterServer(
        address=str(info["hostname"]),
        port=port,
        base_url=str(info["base_url"]),
        token=str(info.get("token") or os.environ.get("JUPYTERHUB_API_TOKEN", "")),
        secure=bool(info.get("secure")),
    )


def hub_server() -> JupyterServer | None:
    """The server of this user on a hub, as the hub told it where to listen."""
    url = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", ""))
    try:
        if not url.port:
            return None
    except ValueError:
        return None
    return JupyterServer(
        address=url.hostname or "",
        port=url.port,
        base_url=url.path or "/",
        token=os.environ.get("JUPYTERHUB_API_TOKEN", ""),
        secure=url.scheme == "https",
    )


browser = Browser()
"""The one of this process."""

set_template = browser.set_template
"""For `%config Kfwd.link`."""
