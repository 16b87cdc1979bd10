"""Links of kernels that a real Jupyter server has started: by jupyter-server-proxy to the pod."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from peers.jupyter_server import JupyterServer, browser, chromium, run

from kfwd_nb.cluster import MiniCluster

pytestmark = pytest.mark.notebook

BASE = "/user/ann/"
PROXY = "jupyter_server_proxy"
Session = tuple[JupyterServer, BlockingKernelClient]

UP = """
%load_ext kfwd_nb
%kfwd up
fwd = %portforward web :80
"""


@pytest.fixture(scope="module")
def new_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., JupyterServer]]:
    """Starts servers that are gone when the module is done."""
    made: list[JupyterServer] = []

    def make(**options: Any) -> JupyterServer:
        made.append(JupyterServer(tmp_path_factory.mktemp("jupyter"), base_url=BASE, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def proxying(new_server: Callable[..., JupyterServer]) -> Session:
    """A server with jupyter-server-proxy, and a kernel of it that forwards to a pod."""
    server = new_server(extensions={PROXY: True})
    kernel = server.start_kernel()
    run(kernel, UP)
    return server, kernel


def value(kernel: BlockingKernelClient, expression: str) -> Any:
    """The value of an expression in a kernel."""
    return json.loads(run(kernel, f"import json\nprint(json.dumps({expression}))"))


def test_the_link_opens_the_pods_page_by_the_proxy(proxying: Session) -> None:
    server, kernel = proxying
    link, note, port = value(kernel, "[fwd.link, fwd.link.note, fwd.local_port]")
    assert (link, note) == (f"{BASE}proxy/{port}/", "")
    reply = server.get(link)
    assert (reply.status, b"from pod web" in reply.body) == (200, True)
    assert server.get(link, token=False).status == 302  # to the login


def test_a_path_is_stripped_or_kept_whole(proxying: Session) -> None:
    server, kernel = proxying
    stripped = value(kernel, "fwd.browser_link(path='/bytes/5', remote=80)")
    assert len(server.get(stripped).body) == 5
    whole = value(kernel, "fwd.browser_link(path='/bytes/5', absolute=True)")
    assert whole == stripped.replace("/proxy/", "/proxy/absolute/")
    reply = server.get(whole)  # the pod's program was not told that it would be asked like this
    assert (reply.status, reply.body) == (404, b"there is no such page\n")


@pytest.mark.skipif(not chromium(), reason="no chromium")
def test_the_tables_address_opens_the_page_in_a_browser(proxying: Session) -> None:
    server, kernel = proxying
    table = value(
        kernel,
        "__import__('kfwd_nb.notebook.drawing.render', fromlist=['x']).table_bundle("
        "__import__('kfwd_nb.notebook.drawing.table', fromlist=['x'])"
        ".build([fwd], 0.0))['text/html']",
    )
    link = value(kernel, "get_ipython().display_formatter.format(fwd.link)[0]['text/html']")
    with browser() as chrome:
        page = chrome.new_page()
        page.goto(f"{server.url}?token={server.token}")
        for html in (table, link):
            page.evaluate("html => { document.body.innerHTML = html }", html)
            with page.expect_popup() as popup:
                page.click("a")
            popup.value.wait_for_load_state()
            assert "from pod web" in popup.value.inner_text("body")


def test_without_jupyter_server_proxy_the_words_say_where_it_is_missing(
    new_server: Callable[..., JupyterServer], cluster: MiniCluster
) -> None:
    server = new_server(extensions={PROXY: False})
    kernel = server.start_kernel()
    run(kernel, f"%load_ext kfwd_nb\nfwd = %portforward web :80 --kubeconfig {cluster.kubeconfig}")
    said = _refusal(kernel)
    assert "jupyter-server-proxy is not installed, or switched off, in the environment of" in said
    assert f"Jupyter server ({server.url})" in said
    assert "hint: pip install jupyter-server-proxy there" in said
    assert server.token not in said
    # Nothing else is the worse for it.
    assert value(kernel, "__import__('urllib.request').request.urlopen(fwd.url()).status") == 200


def _refusal(kernel: BlockingKernelClient) -> str:
    reply = kernel.execute_interactive("fwd.link", timeout=60, output_hook=lambda _: None)
    assert reply["content"]["status"] == "error"
    return "\n".join(reply["content"]["traceback"])
