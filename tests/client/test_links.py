"""Links that are checked: what a Jupyter server answers, and what is said of it."""

from __future__ import annotations

import http.server
import json
import os
import socket
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfwd_nb.client.browser import links
from kfwd_nb.client.browser.links import Browser, ask_for_proxy, hub_server, parent_server
from kfwd_nb.client.browser.places import JupyterServer
from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.errors import UnavailableError

pytestmark = pytest.mark.chain

PORT = ForwardedPort(("127.0.0.1", "::1"), 8080, 80)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with a status, and notes what it was asked."""

    status = 200
    asked: tuple[str, str | None] = ("", None)

    def do_GET(self) -> None:
        type(self).asked = (self.path, self.headers.get("Authorization"))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[tuple[type[Answers], int]]:
    """A server on a port of its own; its class has the status to answer with."""

    class Mine(Answers):
        pass

    with http.server.HTTPServer(("127.0.0.1", 0), Mine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Mine, server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Jupyter server has written down anything, but what a test writes."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))


def on_a_hub(monkeypatch: pytest.MonkeyPatch, port: int, host: str = "127.0.0.1") -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", f"http://{host}:{port}/user/ann/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")


def test_on_this_machine_nothing_is_asked() -> None:
    link = Browser().checked(PORT, "/a")
    assert (link, link.note) == ("http://localhost:8080/a", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
def test_a_proxy_that_is_there_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, answers, host: str
) -> None:
    kind, port = answers
    on_a_hub(monkeypatch, port, host)
    browser = Browser()
    link = browser.checked(PORT, "/a")
    assert (link, link.note) == ("/user/ann/proxy/8080/a", "")
    assert kind.asked == ("/user/ann/server-proxy/servers-info", "token secret")
    kind.status = 404
    assert browser.checked(PORT).note == ""


def test_a_proxy_that_is_missing_is_named_as_missing_in_the_servers_environment(
    monkeypatch: pytest.MonkeyPatch, answers
) -> None:
    kind, port = answers
    on_a_hub(monkeypatch, port)
    kind.status = 404
    browser = Browser()
    with pytest.raises(UnavailableError) as caught:
        browser.checked(PORT)
    assert "jupyter-server-proxy is not installed" in caught.value.what
    assert f"of the Jupyter server (http://127.0.0.1:{port}/user/ann/)" in caught.value.what
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("pip install jupyter-server-proxy there, which may be")
    assert "secret" not in str(caught.value)
    kind.status = 200  # it was installed
    assert browser.checked(PORT) == "/user/ann/proxy/8080/"


@pytest.mark.parametrize("status", [302, 401, 403, 500, 503])
def test_what_could_not_be_made_sure_of_is_said(
    monkeypatch: pytest.MonkeyPatch, answers, status: int
) -> None:
    kind, port = answers
    on_a_hub(monkeypatch, port)
    kind.status = status
    link = Browser().checked(PORT)
    assert link == "/user/ann/proxy/8080/"
    assert link.note.startswith("not checked: the Jupyter server at http://127.0.0.1:")
    assert f"HTTP {status}" in link.note


def test_a_hub_that_does_not_tell_where_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    link = Browser().checked(PORT)
    assert (link, link.note[:12]) == ("/user/ann/proxy/8080/", "not checked:")


def test_a_server_that_does_not_answer_is_waited_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "CHECK_TIME", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer, why = ask_for_proxy(JupyterServer("127.0.0.1", silent.getsockname()[1]))
    assert (answer, "does not answer" in why) == (None, True)


def test_no_token_goes_by_tls_that_nobody_could_verify(answers) -> None:
    kind, port = answers
    answer, why = ask_for_proxy(JupyterServer("127.0.0.1", port, token="secret", secure=True))
    assert (answer, "speaks TLS" in why, kind.asked[0]) == (None, True, "")


def test_the_users_own_link_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, answers) -> None:
    kind, port = answers
    on_a_hub(monkeypatch, port)
    browser = Browser()
    browser.set_template("https://my.host/{port}")
    assert browser.checked(PORT) == browser.known(PORT) == "https://my.host/8080/"
    assert kind.asked[0] == ""
    browser.set_template("")
    assert browser.known(PORT) == "/user/ann/proxy/8080/"


def test_an_address_of_its_own_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    port = ForwardedPort(("10.0.0.7",), 8080, 80)
    link = Browser().checked(port, "/a", scheme="https")
    assert (link, link.note) == ("https://10.0.0.7:8080/a", "")


def test_what_a_proxy_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch, answers) -> None:
    on_a_hub(monkeypatch, answers[1])
    browser = Browser()
    assert browser.known(PORT, scheme="https") == ""
    with pytest.raises(UnavailableError, match="speaks plain HTTP to it, not https"):
        browser.checked(PORT, scheme="https")


# -- Colab ----------------------------------------------------------------------------------------


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Colab's module, whose page answers as `answer` does."""
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    output = types.ModuleType("google.colab.output")
    output.asked = []  # type: ignore[attr-defined]

    def eval_js(script: str, timeout_sec: float) -> str:
        output.asked.append(script)
        if output.broken:
            raise RuntimeError("timed out")
        return "https://x-8080-colab.googleusercontent.com/"

    output.eval_js, output.broken = eval_js, False  # type: ignore[attr-defined]
    for name in ("google", "google.colab"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    return output


def test_the_page_of_colab_is_asked_for_each_port_once(colab) -> None:
    browser = Browser()
    assert browser.known(PORT) == ""
    assert browser.checked(PORT, "/a") == "https://x-8080-colab.googleusercontent.com/a"
    browser.ask_page([PORT])
    assert browser.known(PORT, "/b") == "https://x-8080-colab.googleusercontent.com/b"
    assert colab.asked == ["google.colab.kernel.proxyPort(8080, {cache: true})"]


def test_a_page_of_colab_that_does_not_answer(colab) -> None:
    colab.broken = True
    browser = Browser()
    browser.ask_page([PORT])  # a table goes without
    assert browser.known(PORT) == ""
    with pytest.raises(UnavailableError, match="timed out") as caught:
        browser.checked(PORT)
    assert "in a cell" in str(caught.value.hint)


# -- the server that started this kernel ----------------------------------------------------------

INFO = {
    "hostname": "localhost",
    "port": 8888,
    "base_url": "/user/ann/",
    "token": "secret",
    "secure": False,
    "sock": "",
}


def write(folder: Path, pid: int, **info: object) -> None:
    (folder / f"jpserver-{pid}.json").write_text(json.dumps({**INFO, "pid": pid, **info}))


def test_it_is_found_by_the_pid_that_jupyter_gave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, 4711)
    assert parent_server() is None
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    assert parent_server() == JupyterServer("localhost", 8888, "/user/ann/", "secret")
    assert Browser().known(PORT) == "/user/ann/proxy/8080/"


def test_it_is_found_by_the_parent(tmp_path: Path) -> None:
    write(tmp_path, os.getppid(), base_url="/", secure=True)
    assert parent_server() == JupyterServer("localhost", 8888, "/", "secret", secure=True)
    assert Browser().known(PORT) == "http://localhost:8080/"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "{}", json.dumps({**INFO, "port": "8888"}), " " * 70_000 + "{}"]
)
def test_a_file_that_says_nothing_is_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / f"jpserver-{os.getppid()}.json").write_text(text)
    assert parent_server() is None


def test_a_server_on_a_unix_socket_is_none(tmp_path: Path) -> None:
    write(tmp_path, os.getppid(), port=0, sock="/run/jupyter.sock")
    assert parent_server() is None


def test_on_a_hub_the_server_takes_the_hubs_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, os.getppid(), token="")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "the hub's")
    assert parent_server() == JupyterServer("localhost", 8888, "/user/ann/", "the hub's")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://:8888/user/ann/", JupyterServer("", 8888, "/user/ann/")),
        ("https://10.1.2.3:443/", JupyterServer("10.1.2.3", 443, "/", secure=True)),
        ("http://host/", None),
        ("http://host:many/", None),
        ("", None),
    ],
)
def test_where_a_hub_told_the_server_to_listen(
    monkeypatch: pytest.MonkeyPatch, url: str, server: JupyterServer | None
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", url)
    assert hub_server() == server
