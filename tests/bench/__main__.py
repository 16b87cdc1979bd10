"""`make bench`: times, rates and memory, each beside its comparator in the same run.

Every figure is a median; where there is a comparator, the ratio is the median of the ratios of
neighbouring runs, so that a machine that slows down slows both.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from paths import HERE, ours, raw, socat_chain

from kfwd_nb import MiniCluster

ROUNDS = 5
VOLUME = 1 << 29
ECHOES = 2_000
OPENS = 100
HELD = 2_000
BLOCK = bytes(1 << 18)


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def download(port: int) -> float:
    """MB/s."""
    buffer = bytearray(1 << 18)
    with connect(port) as sock:
        sock.sendall(b"d%32d" % VOLUME)
        sock.recv(1)
        began, left = time.perf_counter(), VOLUME - 1
        while left > 0 and (got := sock.recv_into(buffer)):
            left -= got
        assert left == 0
        return VOLUME / (time.perf_counter() - began) / 1e6


def upload(port: int) -> float:
    """MB/s, until the server has all of it."""
    with connect(port) as sock:
        began = time.perf_counter()
        sock.sendall(b"u%32d" % VOLUME)
        for _ in range(VOLUME // len(BLOCK)):
            sock.sendall(BLOCK)
        assert sock.recv(1) == b"!"
        return VOLUME / (time.perf_counter() - began) / 1e6


def echo(port: int) -> float:
    """Microseconds for one byte there and back."""
    times = []
    with connect(port) as sock:
        sock.sendall(b"ex")
        assert sock.recv(1) == b"x"
        for _ in range(ECHOES):
            began = time.perf_counter()
            sock.sendall(b"x")
            sock.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def opening(port: int) -> float:
    """Milliseconds to connect and have one byte back."""
    times = []
    for _ in range(OPENS):
        began = time.perf_counter()
        with connect(port) as sock:
            sock.sendall(b"ex")
            sock.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def compare(name: str, unit: str, measure: Callable[[int], float], a: int, b: int, c: int) -> None:
    """One row: ours, three socat, the server itself, and the ratio of the first two."""
    rows = [(measure(a), measure(b), measure(c)) for _ in range(ROUNDS)]
    mine, theirs, bare = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(x / y for x, y, _ in rows)
    print(f"| {name}, {unit} | {mine:.4g} | {theirs:.4g} | {ratio:.2f} | {bare:.4g} |", flush=True)


def memory_of_held(port: int, process: subprocess.Popen[str]) -> float:
    """KB of the client for one held connection."""
    resource = psutil.Process(process.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(50):  # what the first connections allocate for all
            sock = stack.enter_context(connect(port))
            sock.sendall(b"ex")
            sock.recv(1)
        before = resource.memory_info().rss
        for _ in range(HELD):
            sock = stack.enter_context(connect(port))
            sock.sendall(b"ex")
            assert sock.recv(1) == b"x"
        return (resource.memory_info().rss - before) / HELD / 1e3


def kernel_times(kubeconfig: Path) -> None:
    """`%load_ext`, `%portforward`, `%kfwd up` in a real kernel."""
    from jupyter_client.manager import start_new_kernel

    loads, readies, ups = [], [], []
    for _ in range(ROUNDS):
        manager, client = start_new_kernel(env=os.environ | {"KUBECONFIG": str(kubeconfig)})
        try:
            for times, code in (
                (loads, "%load_ext kfwd_nb"),
                (readies, "%portforward load :9000"),
                (ups, "%kfwd up"),
            ):
                reply = client.execute_interactive(
                    f"import time; t = time.perf_counter()\n{code}\nt = time.perf_counter() - t",
                    timeout=120,
                    output_hook=lambda _: None,
                    user_expressions={"t": "t"},
                )["content"]
                assert reply["status"] == "ok", reply
                times.append(float(reply["user_expressions"]["t"]["data"]["text/plain"]))
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=False)
    print("\n| in a kernel, seconds | median | worst |\n|---|---|---|")
    for name, times in (
        ("`%load_ext kfwd_nb`", loads),
        ("`%portforward load :9000`, listening", readies),
        ("`%kfwd up`, all pods ready, PostgreSQL's first start too", ups),
    ):
        print(f"| {name} | {statistics.median(times):.3f} | {max(times):.3f} |", flush=True)


def start_phases() -> None:
    """Where a cluster's start spends its time."""
    with MiniCluster() as cluster:
        print(f"\ncluster ready after {cluster.ready_after:.2f} s; pods, seconds after posting:")
        for pod, seconds in cluster.pod_seconds.items():
            print(f"  {pod}: {seconds:.2f}")


def main() -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ["KFWD_BENCH"] = str(HERE)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {VOLUME >> 20} MiB,")
    print(f"{ECHOES} echoes, {OPENS} opens a round; medians of {ROUNDS} rounds in turn.\n")
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "load.yaml"
        manifest.write_text(
            (HERE / "manifest.yaml").read_text().replace("$(KFWD_BENCH)", str(HERE))
        )
        with (
            MiniCluster(manifest) as cluster,
            ours(cluster.kubeconfig) as (mine, process),
            raw() as bare,
            socat_chain(bare, Path(folder)) as theirs,
        ):
            print("| TLS on both inner hops | kfwd | three socat | ratio | no chain at all |")
            print("|---|---|---|---|---|")
            compare("download", "MB/s", download, mine, theirs, bare)
            compare("upload", "MB/s", upload, mine, theirs, bare)
            compare("1-byte echo", "µs", echo, mine, theirs, bare)
            compare("connect and echo", "ms", opening, mine, theirs, bare)
            print(
                f"\nclient memory for one held connection: {memory_of_held(mine, process):.1f} KB"
            )
            kernel_times(cluster.kubeconfig)
    start_phases()


main()
