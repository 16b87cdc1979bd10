"""The paths that are compared: ours, and three socat in a row with TLS on both inner hops."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

HERE = Path(__file__).parent
KUBECTL = HERE.parents[1] / ".venv" / "kubectl" / "kubectl-1.37"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_listening(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def running(*command: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def raw() -> Iterator[int]:
    """The server itself."""
    port = free_port()
    with running(
        sys.executable, str(HERE / "load_server.py"), str(port), stdout=subprocess.DEVNULL
    ):
        wait_listening(port)
        yield port


@contextlib.contextmanager
def socat_chain(target: int, folder: Path) -> Iterator[int]:
    """socat | TLS | socat | TLS | socat, each hop a process, as the chain has it."""
    key, crt = folder / "key", folder / "crt"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    words = [*make.split(), "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(crt)]
    subprocess.run(words, check=True, capture_output=True)
    tls = f"reuseaddr,fork,bind=127.0.0.1,backlog=1000,cert={crt},key={key},verify=0"
    agent, relay, client = free_port(), free_port(), free_port()
    quiet = {"stderr": subprocess.DEVNULL}
    with (
        running("socat", f"OPENSSL-LISTEN:{agent},{tls}", f"TCP:127.0.0.1:{target}", **quiet),
        running(
            "socat", f"OPENSSL-LISTEN:{relay},{tls}", f"OPENSSL:127.0.0.1:{agent},verify=0", **quiet
        ),
        running(
            "socat",
            f"TCP-LISTEN:{client},reuseaddr,fork,bind=127.0.0.1,backlog=1000",
            f"OPENSSL:127.0.0.1:{relay},verify=0",
            **quiet,
        ),
    ):
        for port in (agent, relay, client):
            wait_listening(port)
        yield client


@contextlib.contextmanager
def ours(
    kubeconfig: Path, dialect: str, target: str = "pod/load", port: int = 9000
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`kfwd port-forward pod/load :9000`: (local port, the process)."""
    command = [sys.executable, "-m", "kfwd_nb.cli", "port-forward", "--dialect", dialect]
    with forwarding([*command, target, f":{port}"], {"KUBECONFIG": str(kubeconfig)}) as found:
        yield found.port, found.process


@contextlib.contextmanager
def kubectl(
    kubeconfig: Path, dialect: str, target: str = "pod/load", port: int = 9000
) -> Iterator[int]:
    """The same by kubectl 1.37."""
    websockets = {"KUBECTL_PORT_FORWARD_WEBSOCKETS": str(dialect == "websocket").lower()}
    environment = {"KUBECONFIG": str(kubeconfig)} | websockets
    with forwarding([str(KUBECTL), "port-forward", target, f":{port}"], environment) as found:
        yield found.port


class Forwarding(NamedTuple):
    """A process that forwards `port`, and what it has said."""

    port: int
    process: subprocess.Popen[str]
    output: IO[str]

    def said(self) -> str:
        """All of it so far."""
        return _text(self.output)


@contextlib.contextmanager
def forwarding(command: list[str], environment: dict[str, str]) -> Iterator[Forwarding]:
    """A process that says `Forwarding from 127.0.0.1:PORT`, and a line for each connection."""
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would stop it
        options = {"stdout": said, "stderr": said, "env": os.environ | environment}
        with running(*command, **options) as process:
            deadline = time.monotonic() + 20
            while not (found := re.search(r"127\.0\.0\.1:(\d+)", _text(said))):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not forward: {_text(said)}")
                time.sleep(0.02)
            yield Forwarding(int(found[1]), process, said)


def _text(file: IO[str]) -> str:
    return os.pread(file.fileno(), 1 << 20, 0).decode()
