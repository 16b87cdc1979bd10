"""Real IPython kernels, and a record of all that they say."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from peers.processes import runs

HERE = Path(__file__).parent

Message = dict[str, Any]


@dataclass
class Run:
    """One executed cell: its reply, and what iopub carried until it was idle."""

    reply: Message
    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.reply["content"]["status"]

    @property
    def lines(self) -> list[str]:
        """What a failed cell shows."""
        shown = [each for each in self.messages if each["msg_type"] == "error"]
        return [line for each in shown for line in each["content"]["traceback"]]

    @property
    def printed(self) -> str:
        return "".join(
            each["content"]["text"] for each in self.messages if each["msg_type"] == "stream"
        )

    @property
    def bundles(self) -> list[dict[str, str]]:
        """All that was displayed, each update too, in order."""
        return [each["content"]["data"] for each in self.displays]

    @property
    def displays(self) -> list[Message]:
        kinds = ("display_data", "update_display_data", "execute_result")
        return [each for each in self.messages if each["msg_type"] in kinds]

    @property
    def first_displays(self) -> list[Message]:
        return [each for each in self.displays if each["msg_type"] != "update_display_data"]

    @property
    def text(self) -> str:
        """All displays as text, one after the other."""
        return "\n".join(each["text/plain"] for each in self.bundles)


class Kernel:
    """A kernel in a process of its own, driven as a frontend drives it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        specs = KernelSpecManager()
        specs.kernel_dirs = []
        self.manager = KernelManager(
            kernel_spec_manager=specs,
            connection_file=str(folder / "kernel.json"),
            transport="ipc",
        )
        self.env = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), **env}
        self.client: BlockingKernelClient
        self.log = (folder / "kernel.log").open("ab")

    def start(self) -> None:
        self.manager.start_kernel(env=self.env, stdout=self.log, stderr=self.log)
        self._connect()

    def restart(self) -> None:
        self.client.stop_channels()
        self.manager.restart_kernel(now=False, env=self.env, stdout=self.log, stderr=self.log)
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=30)

    @property
    def pid(self) -> int:
        return self.manager.provisioner.process.pid

    def send(self, code: str, cell: str | None = None) -> str:
        """Execute without waiting; the request's id."""
        message = self.client.session.msg(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
        )
        if cell is not None:
            message["metadata"]["cellId"] = cell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def finish(self, request: str, timeout: float = 60) -> Run:
        """Wait for the reply and for the last output of a request."""
        messages = []
        deadline = time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            messages.append(message)
            mine = message["parent_header"].get("msg_id") == request
            if mine and message["content"].get("execution_state") == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, deadline - time.monotonic()))
            if reply["parent_header"]["msg_id"] == request:
                return Run(reply, messages)

    def run(self, code: str, timeout: float = 60, cell: str | None = None) -> Run:
        """Execute a cell to its end."""
        return self.finish(self.send(code, cell), timeout)

    def ok(self, code: str, timeout: float = 60) -> Run:
        """Execute a cell that must not fail."""
        run = self.run(code, timeout)
        assert run.status == "ok", "\n".join(run.lines)
        return run

    def listen(
        self, seconds: float, until: Callable[[Message], bool] | None = None
    ) -> list[Message]:
        """What iopub carries without being asked."""
        deadline = time.monotonic() + seconds
        messages = []
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                messages.append(self.client.get_iopub_msg(timeout=left))
                if until is not None and until(messages[-1]):
                    break
        return messages

    def family(self) -> list[psutil.Process]:
        """All processes below the kernel: supervisor, relay, agents, pods, forks."""
        return psutil.Process(self.pid).children(recursive=True)

    def interrupt(self) -> None:
        """As Jupyter does: SIGINT to the kernel's whole process group."""
        os.killpg(os.getpgid(self.pid), signal.SIGINT)

    def kill(self) -> None:
        """As the machine does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)
        self.manager.provisioner.process.wait(10)

    def stop(self) -> None:
        with contextlib.suppress(Exception):
            self.client.stop_channels()
        self.manager.shutdown_kernel(now=not self.manager.is_alive())
        self.log.close()


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait for a condition, at most `timeout` seconds; whether it came true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; what waits to be reaped does not."""
    return [each for each in processes if runs(each)]


@pytest.fixture(scope="session")
def eventually() -> Callable[..., bool]:
    """`wait_until`, for test modules."""
    return wait_until


@pytest.fixture(scope="session")
def survivors() -> Callable[..., list[psutil.Process]]:
    """Those of some processes that still run after 3 seconds at the most."""

    def wait(processes: list[psutil.Process]) -> list[psutil.Process]:
        wait_until(lambda: not alive(processes), 3)
        return alive(processes)

    return wait


@pytest.fixture(scope="module")
def new_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Kernel]]:
    """Makes kernels that are gone when the module is done."""
    made: list[Kernel] = []

    def make(**env: str) -> Kernel:
        kernel = Kernel(tmp_path_factory.mktemp("kernel"), env)
        made.append(kernel)
        kernel.start()
        return kernel

    yield make
    for kernel in made:
        kernel.stop()


@pytest.fixture(scope="module")
def up_kernel(new_kernel: Callable[..., Kernel]) -> Kernel:
    """A kernel with the extension loaded and a cluster of its own, by `%kfwd up`."""
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    kernel.ok("%kfwd up")
    return kernel


@pytest.fixture(scope="module")
def fake_kernel(new_kernel: Callable[..., Kernel]) -> Kernel:
    """A kernel whose client is the fake one of this folder: no cluster, forwards moved by hand."""
    kernel = new_kernel()
    kernel.ok(f"import sys; sys.path.insert(0, {str(HERE)!r}); import fake_client")
    kernel.ok("fake_client.install()")
    kernel.ok("%load_ext kfwd_nb")
    return kernel


@pytest.fixture
def fake() -> Any:
    """The module of forwards that are moved by hand."""
    sys.path.insert(0, str(HERE))
    try:
        import fake_client
    finally:
        sys.path.remove(str(HERE))
    return fake_client
