"""Where the browser is, and what leads from there to a port of this machine. Pure: no I/O.

A forward listens on the machine of the kernel; the page of the notebook may be open on another one.
What leads across depends on who serves that page, and the process is told by its environment:

    what serves the page       known by                          a link to port 8080
    anything                   %config Kfwd.link                 the template that the user has set
    VS Code in a browser       VSCODE_PROXY_URI, a whole URL     that URL, with the port in it
    Google Colab               COLAB_RELEASE_TAG                 only its page knows: it is asked
    GitHub Codespaces          CODESPACE_NAME and a domain       https://NAME-8080.DOMAIN/
    JupyterHub, Binder         JUPYTERHUB_SERVICE_PREFIX         PREFIX/proxy/8080/
    a Jupyter server that is   the file of the server that       BASE/proxy/8080/
    opened from elsewhere      started this kernel
    anything on this machine   nothing of the above              http://localhost:8080/

The first row that fits is taken. `/proxy/8080/` is served by the extension jupyter-server-proxy,
and such a link begins at the root of the page's own host: which host that is, only the browser
knows (a hub from version 5 on may tell, by JUPYTERHUB_PUBLIC_URL).

Whether a plain Jupyter server is opened from elsewhere, it does not know itself. Three things make
it likely: it listens on more than the loopback (it does in every container); its pages do not begin
at `/`, which somebody wanted who put a proxy before it; or it was started in an SSH session, where
only its own port has a tunnel. In all three, `/proxy/8080/` is right from everywhere, and localhost
from one place at the most. Else the page is on this machine, where localhost needs no extension.

A relative VSCODE_PROXY_URI (`./proxy/{{port}}`) says nothing outside VS Code's page; there VS Code
itself turns links to localhost into what fits, as VS Code over SSH does, too.

Sources: jupyter-server-proxy, "Accessing Arbitrary Ports"; JupyterHub, `Spawner.get_env`;
code-server, "Accessing web services"; GitHub, "Default environment variables for your codespace".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from kfwd_nb.errors import UsageError
from kfwd_nb.ports import bracketed

Place = Literal["config", "vscode", "colab", "codespaces", "hub", "jupyter", "local"]
"""Who serves the page."""

PORT = "{port}"
"""What stands for the port in a template."""

SCHEME = "{scheme}"
"""What stands for `http` or `https` in the one template that can do both."""

ANY_ADDRESS = ("0.0.0.0", "::", "*", "")  # noqa: S104 - read here, never bound
"""A listener on all addresses, as programs write it."""


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """What the server that started this kernel has written down about itself.

    Attributes:
        address: what it listens on.
        port: its port.
        base_url: where its pages begin: `/`, or as in `/user/ann/`.
        token: opens its pages; empty where it has none, or another way to log in.
        secure: it speaks TLS.
    """

    address: str
    port: int
    base_url: str = "/"
    token: str = ""
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """What leads from the browser to the ports of this machine.

    Attributes:
        place: who serves the page.
        template: a link, with `{port}` in it; empty where the page has to be asked.
        absolute: the same for programs that want to see the whole path, not what follows the
            port; empty where there is no such thing, because each port has a host of its own.
        proxied: jupyter-server-proxy has to be there.
    """

    place: Place
    template: str
    absolute: str = ""
    proxied: bool = False

    def link(
        self, port: int, path: str = "/", *, scheme: str = "http", absolute: bool = False
    ) -> str:
        """The link to `path` of a local port; empty if there is none, or the page must be asked.

        Proxies speak plain HTTP to the port, whatever they speak to the browser.
        """
        template = self.absolute if absolute and self.absolute else self.template
        able = scheme == "http" or SCHEME in template or self.place == "config"
        if not (template and able):
            return ""
        return joined(template.replace(PORT, str(port)).replace(SCHEME, scheme), path)


LOCAL = Way("local", f"{SCHEME}://localhost:{PORT}/")


def way(environment: Mapping[str, str], server: JupyterServer | None, template: str = "") -> Way:
    """What leads from the browser to the ports of this machine.

    Args:
        environment: the variables of this process.
        server: the Jupyter server that started it, if there is one.
        template: what the user has set, or nothing.
    """
    if template:
        return Way("config", template)
    for row in ROWS:
        if found := row(environment):
            return found
    if server is not None and opened_from_elsewhere(server, environment):
        return _proxied("jupyter", server.base_url)
    return LOCAL


def checked_template(text: str) -> str:
    """What a user has set as template, in this project's form: `{{port}}` is `{port}`, too.

    Raises:
        UsageError: it has no port in it.
    """
    template = text.strip().replace("{" + PORT + "}", PORT)
    if template and PORT not in template:
        raise UsageError(
            f"the link '{text}' has no {PORT} in it.",
            hint=f"write {PORT} where the local port stands, as in https://my.host/proxy/{PORT}/.",
        )
    return template


def opened_from_elsewhere(server: JupyterServer, environment: Mapping[str, str]) -> bool:
    """True if the pages of a Jupyter server are likely to be opened on another machine."""
    return (
        not is_loopback(server.address)
        or server.base_url.strip("/") != ""
        or bool(environment.get("SSH_CONNECTION"))
    )


def is_loopback(address: str) -> bool:
    """True for an address, or the name, that means this machine only."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def direct(address: str) -> str:
    """The host of a link to a listener that no proxy leads to; empty for all others.

    A proxy connects to localhost: to 127.0.0.1 or ::1, and to listeners on all addresses. A single
    other address was chosen by the user for a network that the browser is in.
    """
    if address in ("localhost", "127.0.0.1", "::1", *ANY_ADDRESS):
        return ""
    return bracketed(address)


def joined(base: str, path: str) -> str:
    """`path` below the URL `base`."""
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


# -- the rows -------------------------------------------------------------------------------------


def _vscode(environment: Mapping[str, str]) -> Way | None:
    template = environment.get("VSCODE_PROXY_URI", "").replace("{" + PORT + "}", PORT)
    whole = urlsplit(template).scheme in ("http", "https")
    if not whole or template.count("{") != 1 or PORT not in template:  # {{host}}: VS Code's page's
        return None
    stripping, keeping = f"/proxy/{PORT}", f"/absproxy/{PORT}"
    return Way("vscode", template, template.replace(stripping, keeping))


def _colab(environment: Mapping[str, str]) -> Way | None:
    return Way("colab", "") if environment.get("COLAB_RELEASE_TAG") else None


def _codespaces(environment: Mapping[str, str]) -> Way | None:
    name = environment.get("CODESPACE_NAME")
    domain = environment.get("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN")
    return Way("codespaces", f"https://{name}-{PORT}.{domain}/") if name and domain else None


def _hub(environment: Mapping[str, str]) -> Way | None:
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "")
    if not prefix:
        return None
    public = environment.get("JUPYTERHUB_PUBLIC_URL", "")
    known = urlsplit(public).path.strip("/") == prefix.strip("/")  # else it is another page's
    return _proxied("hub", public if public and known else prefix)


def _proxied(place: Place, base: str) -> Way:
    return Way(
        place,
        joined(base, f"proxy/{PORT}/"),
        joined(base, f"proxy/absolute/{PORT}/"),
        proxied=True,
    )


ROWS: tuple[Callable[[Mapping[str, str]], Way | None], ...] = (_vscode, _colab, _codespaces, _hub)
"""The places that variables alone tell of, in the order in which they are tried."""
