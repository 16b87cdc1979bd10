"""Where the browser is → the link that leads from there to a local port."""

from __future__ import annotations

import pytest

from kfwd_nb.client.browser.places import (
    LOCAL,
    JupyterServer,
    checked_template,
    direct,
    is_loopback,
    way,
)
from kfwd_nb.errors import UsageError

pytestmark = pytest.mark.pure

HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
CODESPACE = {
    "CODESPACE_NAME": "fuzzy-cat",
    "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN": "app.github.dev",
}
COLAB = {"COLAB_RELEASE_TAG": "release-colab_20260101-060000_RC00"}
AT_HOME = JupyterServer("localhost", 8888)


def vscode(uri: str) -> dict[str, str]:
    return {"VSCODE_PROXY_URI": uri}


@pytest.mark.parametrize(
    ("place", "environment", "link", "absolute"),
    [
        ("local", {}, "http://localhost:8080/a", "http://localhost:8080/a"),
        # JupyterHub and Binder
        ("hub", HUB, "/user/ann/proxy/8080/a", "/user/ann/proxy/absolute/8080/a"),
        (
            "hub",
            {"JUPYTERHUB_SERVICE_PREFIX": "/hub7/user/a%40b/lab%202"},
            "/hub7/user/a%40b/lab%202/proxy/8080/a",
            "/hub7/user/a%40b/lab%202/proxy/absolute/8080/a",
        ),
        ("hub", {"JUPYTERHUB_SERVICE_PREFIX": "/"}, "/proxy/8080/a", "/proxy/absolute/8080/a"),
        (
            "hub",
            HUB | {"JUPYTERHUB_PUBLIC_URL": "https://hub.example/user/ann/"},
            "https://hub.example/user/ann/proxy/8080/a",
            "https://hub.example/user/ann/proxy/absolute/8080/a",
        ),
        (
            "hub",
            HUB | {"JUPYTERHUB_PUBLIC_URL": "https://hub.example/"},  # another page's
            "/user/ann/proxy/8080/a",
            "/user/ann/proxy/absolute/8080/a",
        ),
        ("hub", HUB | {"JUPYTERHUB_PUBLIC_URL": ""}, "/user/ann/proxy/8080/a", None),
        # VS Code in a browser
        (
            "vscode",
            vscode("https://code.example/proxy/{{port}}"),
            "https://code.example/proxy/8080/a",
            "https://code.example/absproxy/8080/a",
        ),
        (
            "vscode",
            vscode("https://code.example/proxy/{{port}}/"),
            "https://code.example/proxy/8080/a",
            "https://code.example/absproxy/8080/a",
        ),
        (
            "vscode",
            vscode("https://{{port}}--main--ann.coder.example"),
            "https://8080--main--ann.coder.example/a",
            "https://8080--main--ann.coder.example/a",
        ),
        ("vscode", vscode("http://host/{port}"), "http://host/8080/a", None),
        ("local", vscode("./proxy/{{port}}"), "http://localhost:8080/a", None),
        ("local", vscode("/proxy/{{port}}"), "http://localhost:8080/a", None),
        ("local", vscode("https://{{port}}.{{host}}/"), "http://localhost:8080/a", None),
        ("local", vscode("https://code.example/"), "http://localhost:8080/a", None),
        ("local", vscode("javascript://x/{{port}}"), "http://localhost:8080/a", None),
        ("local", vscode(""), "http://localhost:8080/a", None),
        ("vscode", HUB | vscode("https://c/proxy/{{port}}"), "https://c/proxy/8080/a", None),
        ("hub", HUB | vscode("./proxy/{{port}}"), "/user/ann/proxy/8080/a", None),
        # Codespaces
        (
            "codespaces",
            CODESPACE,
            "https://fuzzy-cat-8080.app.github.dev/a",
            "https://fuzzy-cat-8080.app.github.dev/a",
        ),
        ("local", {"CODESPACE_NAME": "fuzzy-cat"}, "http://localhost:8080/a", None),
        # Colab, whose page has to be asked
        ("colab", COLAB, "", ""),
        # an SSH session without a Jupyter server: nothing is known of a proxy
        (
            "local",
            {"SSH_CONNECTION": "10.0.0.7 50000 10.0.0.1 22"},
            "http://localhost:8080/a",
            None,
        ),
    ],
)
def test_the_link_by_variables(
    place: str, environment: dict[str, str], link: str, absolute: str | None
) -> None:
    found = way(environment, None)
    assert (found.place, found.link(8080, "/a")) == (place, link)
    if absolute is not None:
        assert found.link(8080, "a", absolute=True) == absolute


@pytest.mark.parametrize(
    ("server", "environment", "link"),
    [
        (AT_HOME, {}, "http://localhost:8080/"),
        (JupyterServer("127.0.0.1", 8888), {}, "http://localhost:8080/"),
        (JupyterServer("::1", 8888), {}, "http://localhost:8080/"),
        # its pages begin elsewhere, because something stands before it
        (JupyterServer("localhost", 8888, "/user/ann/"), {}, "/user/ann/proxy/8080/"),
        # it listens on the network, as in every container
        (JupyterServer("0.0.0.0", 8888), {}, "/proxy/8080/"),
        (JupyterServer("::", 8888), {}, "/proxy/8080/"),
        (JupyterServer("", 8888), {}, "/proxy/8080/"),
        (JupyterServer("10.0.0.7", 8888), {}, "/proxy/8080/"),
        (JupyterServer("lab.example", 8888), {}, "/proxy/8080/"),
        # only its own port has a tunnel
        (AT_HOME, {"SSH_CONNECTION": "10.0.0.7 50000 10.0.0.1 22"}, "/proxy/8080/"),
        # a variable tells more
        (JupyterServer("0.0.0.0", 8888), CODESPACE, "https://fuzzy-cat-8080.app.github.dev/"),
        (JupyterServer("0.0.0.0", 8888, "/other/"), HUB, "/user/ann/proxy/8080/"),
    ],
)
def test_the_link_of_a_kernel_that_a_jupyter_server_started(
    server: JupyterServer, environment: dict[str, str], link: str
) -> None:
    found = way(environment, server)
    assert found.link(8080) == link
    assert found.proxied == ("/proxy/" in link)


@pytest.mark.parametrize("environment", [{}, HUB, COLAB, CODESPACE, vscode("https://c/{{port}}")])
def test_the_users_own_link_is_the_strongest(environment: dict[str, str]) -> None:
    template = checked_template(" https://my.host/{{port}}/x/ ")
    found = way(environment, AT_HOME, template)
    assert (found.place, found.proxied) == ("config", False)
    assert found.link(8080, "/a") == "https://my.host/8080/x/a"
    assert found.link(8080, "/a", scheme="https") == "https://my.host/8080/x/a"


def test_a_template_without_a_port_is_refused() -> None:
    with pytest.raises(UsageError, match="in it"):
        checked_template("https://my.host/")
    assert checked_template(" ") == ""


def test_a_proxy_speaks_plain_http_to_the_port() -> None:
    for environment in (HUB, CODESPACE, vscode("https://c/{{port}}")):
        assert way(environment, None).link(8443, scheme="https") == ""
    assert LOCAL.link(8443, scheme="https") == "https://localhost:8443/"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1", ""),
        ("::1", ""),
        ("0.0.0.0", ""),
        ("::", ""),
        ("127.0.0.9", "127.0.0.9"),
        ("10.0.0.7", "10.0.0.7"),
        ("fd00::7", "[fd00::7]"),
    ],
)
def test_only_localhost_is_behind_a_proxy(address: str, host: str) -> None:
    assert direct(address) == host


def test_what_the_loopback_is() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("", "*", "0.0.0.0", "::", "10.0.0.7", "lab.example")))
