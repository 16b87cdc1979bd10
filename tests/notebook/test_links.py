"""Links of a kernel that a real Jupyter server has started: by jupyter-server-proxy to the pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peers.jupyter_server import JupyterServer, browser, chromium, run

pytestmark = pytest.mark.notebook

BASE = "/user/ann/"
PROXY = "jupyter_server_proxy"


@pytest.fixture(scope="module")
def new_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., JupyterServer]]:
    """Starts servers that are gone when the module is done."""
    made: list[JupyterServer] = []

    def make(**options) -> JupyterServer:
        folder: Path = tmp_path_factory.mktemp("jupyter")
        made.append(JupyterServer(folder, base_url=BASE, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def proxying(new_server):
    """A server with jupyter-server-proxy, and a kernel of it that forwards to a pod."""
    server = new_server(extensions={PROXY: True})
    kernel = server.start_kernel()
    run(kernel, "%load_ext kfwd_nb\n%kfwd up\nfwd = %portforward web :80")
    return server, kernel


def test_the_link_opens_the_pods_page_by_the_proxy(proxying) -> None:
    server, kernel = proxying
    link, page = run(kernel, "print(fwd.link)\nprint(fwd.local_port)").split()
    assert link == f"{BASE}proxy/{page}/"
    reply = server.get(link)
    here = run(kernel, "import urllib.request\nprint(urllib.request.urlopen(fwd.url()).read())")
    assert (reply.status, repr(reply.body)) == (200, here.strip())
    assert server.get(link, token=False).status == 302  # the login's
