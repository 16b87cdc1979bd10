"""A real Jupyter server in a process of its own, kernels started through it, and a real browser.

It has its own HOME, configuration, runtime folder, token and port, whatever the machine has of
Jupyter. At the end it is gone with everything below it: kernels, and the clusters of their cells.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import psutil
from jupyter_client import BlockingKernelClient

START_TIME = 60.0
"""Seconds for the server to answer, and for a kernel."""

END_TIME = 20.0
"""Seconds for the server to end by itself, before it is killed."""

FOREIGN = (
    "JUPYTER",
    "JPY_",
    "IPYTHON",
    "VSCODE_",
    "COLAB_",
    "CODESPACE",
    "GITHUB_CODESPACES",
    "SSH_",
)
"""Beginnings of variables that would tell of another place than this server."""

CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Reply:
    """What the server answered; redirects are not followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class JupyterServer:
    """A server that runs until `close()`; also a context manager.

    Args:
        folder: an empty one, for all its files.
        program: `server`, or `lab` where JupyterLab is installed.
        base_url: where its pages begin.
        extensions: server extensions that are switched on or off, whatever is installed.
        options: more words of its command line.
        env: more variables, for the server and for its kernels.

    Attributes:
        url: its base URL, as in `http://127.0.0.1:40123/user/ann/`.
        token: what opens its pages.
        root: the folder of its notebooks.
        process: the server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: str = "server",
        base_url: str = "/user/ann/",
        extensions: Mapping[str, bool] | None = None,
        options: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.token = secrets.token_hex(16)
        self.root = folder / "notebooks"
        self._runtime = folder / "runtime"
        self._clients: list[BlockingKernelClient] = []
        for each in (self.root, self._runtime):
            each.mkdir(parents=True)
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        own |= {
            "HOME": str(folder),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_TOKEN": self.token,  # not on the command line, which everybody can read
        }
        words = [
            *(sys.executable, "-m", "jupyter", program, "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
            f"--ServerApp.base_url={base_url}",
            f"--ServerApp.root_dir={self.root}",
            f"--ServerApp.jpserver_extensions={dict(extensions or {})}",
            *options,
        ]
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                words, cwd=folder, env=own | dict(env or {}), stdout=log, stderr=log
            )
        try:
            self.url = self._ready()
        except BaseException:
            self.close()
            raise

    def _ready(self) -> str:
        """Wait until it answers; its URL, which it writes down itself."""
        file = self._runtime / f"jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + START_TIME
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                info = json.loads(file.read_bytes())
                self.url = f"http://127.0.0.1:{info['port']}{info['base_url']}"
                if self.get("api/status").status == 200:
                    return self.url
            time.sleep(0.05)
        raise RuntimeError(f"the Jupyter server did not start:\n{self.log}")

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text("utf-8", "replace")

    @property
    def origin(self) -> str:
        """Scheme, host and port of its pages."""
        scheme, host, *_ = urlsplit(self.url)
        return f"{scheme}://{host}"

    def resolve(self, link: str) -> str:
        """Where a link on one of its pages leads."""
        return urljoin(self.url, link)

    # -- requests ---------------------------------------------------------------------------------

    def get(self, link: str, *, token: bool = True) -> Reply:
        """Fetch what a link on one of its pages leads to."""
        return self.request("GET", link, token=token)

    def request(
        self, method: str, link: str, body: Any = None, *, token: bool = True, timeout: float = 30
    ) -> Reply:
        """Send one request; `body` goes as JSON."""
        headers = {"Authorization": f"token {self.token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.resolve(link), data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
        try:
            with opener.open(request, timeout=timeout) as reply:
                return Reply(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as reply:
            with reply:
                return Reply(reply.code, reply.headers, reply.read())

    # -- kernels ----------------------------------------------------------------------------------

    def start_kernel(self) -> BlockingKernelClient:
        """Start a kernel as a frontend has it started, and connect to it."""
        reply = self.request("POST", "api/kernels", {}, timeout=START_TIME)
        assert reply.status == 201, reply.body
        return self.connect(json.loads(reply.body)["id"])

    def connect(self, kernel: str) -> BlockingKernelClient:
        """A client of a kernel that the server has started."""
        client = BlockingKernelClient(connection_file=str(self._runtime / f"kernel-{kernel}.json"))
        client.load_connection_file()
        client.start_channels()
        self._clients.append(client)
        deadline = time.monotonic() + START_TIME
        while True:
            try:
                client.wait_for_ready(timeout=START_TIME)
            except RuntimeError:  # no heartbeat yet is "died" to a client that has not started it
                if time.monotonic() > deadline:
                    raise
            else:
                return client

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the server and everything below it."""
        for client in self._clients:
            client.stop_channels()
        below = []
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(END_TIME)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _, left = psutil.wait_procs(below, 5)
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(left, 5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def run(client: BlockingKernelClient, code: str, timeout: float = 120) -> str:
    """Execute a cell that must not fail; what it printed."""
    printed: list[str] = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=timeout, output_hook=take)["content"]
    assert reply["status"] == "ok", "\n".join(reply["traceback"])
    return "".join(printed)


def chromium() -> str | None:
    """Debian's browser; nothing where it is not installed."""
    return shutil.which("chromium")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless browser: a `playwright.sync_api.Browser`; it ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=list(CHROMIUM_OPTIONS)
        )
        try:
            yield chrome
        finally:
            chrome.close()
