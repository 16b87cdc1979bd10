"""`make bench`: times, rates and memory, each beside its comparator in the same run.

Every figure is a median; where there is a comparator, the ratio is the median of the ratios of
neighbouring runs, so that a machine that slows down slows both.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import measures
from display import display
from measures import connect
from paths import HERE, kubectl, ours, raw, socat_chain
from replacement import replacement
from tables import ROUNDS, head, row
from tutorials import tutorials

from kfwd_nb import MiniCluster

HELD = 2_000

PARTS = {"socat", "kubectl", "kernel", "start", "replacement", "display", "tutorials"}
"""What can be named on the command line; all of it, if nothing is."""

MEASURES: dict[str, Callable[[int], float]] = {
    "download, MB/s": measures.download,
    "upload, MB/s": measures.upload,
    "1-byte echo, µs": measures.echo,
    "connect and echo, ms": measures.opening,
}


def beside_socat(kubeconfig: Path, folder: Path) -> None:
    """Our own chain, three socat with TLS on both inner hops, and the server itself."""
    ratios = [("kfwd", "socat x 3")]
    with (
        ours(kubeconfig, "connect") as (mine, process),
        raw() as bare,
        socat_chain(bare, folder) as theirs,
    ):
        ports = {"kfwd": mine, "socat x 3": theirs, "no chain": bare}
        head(list(ports), ratios, "dialect connect")
        for name, measure in MEASURES.items():
            row(name, measure, ports, ratios)
        print(f"\nclient memory for one held connection: {memory_of_held(mine, process):.1f} KB")


def beside_kubectl(kubeconfig: Path) -> None:
    """Our client and kubectl to the same relay, in the dialects that both speak."""
    ratios = [("kfwd websocket", "kubectl websocket"), ("kfwd spdy", "kubectl spdy")]
    with contextlib.ExitStack() as stack:
        ports = {}
        for dialect in ("websocket", "spdy"):
            ports[f"kfwd {dialect}"], _ = stack.enter_context(ours(kubeconfig, dialect))
            ports[f"kubectl {dialect}"] = stack.enter_context(kubectl(kubeconfig, dialect))
        ports["kfwd connect"], _ = stack.enter_context(ours(kubeconfig, "connect"))
        head(list(ports), ratios, "one relay")
        for name, measure in MEASURES.items():
            row(name, measure, ports, ratios)
        print(f"\n| echo beside {measures.STALLED} stalled readers / without |  |\n|---|---|")
        for path, port in ports.items():
            ratio = measures.stalled(port)
            print(f"| {path} | {'stands still' if ratio is None else f'{ratio:.2f}'} |", flush=True)


def beside_kubectl_when_a_pod_goes() -> None:
    """The default cluster's `deploy/api`, by every dialect and by kubectl."""
    with MiniCluster() as cluster, contextlib.ExitStack() as stack:
        ports = {
            f"kfwd {dialect}": stack.enter_context(
                ours(cluster.kubeconfig, dialect, "deploy/api", 8080)
            )[0]
            for dialect in ("connect", "websocket", "spdy")
        }
        for dialect in ("websocket", "spdy"):
            ports[f"kubectl {dialect}"] = stack.enter_context(
                kubectl(cluster.kubeconfig, dialect, "deploy/api", 8080)
            )
        replacement(cluster.kubeconfig, ports)


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
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; ", end="")
    print(f"{measures.VOLUME >> 20} MiB, {measures.ECHOES} echoes, {measures.OPENS} opens a round;")
    print(f"medians of {ROUNDS} rounds in turn.")
    wanted = set(sys.argv[1:]) or PARTS
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "load.yaml"
        manifest.write_text(
            (HERE / "manifest.yaml").read_text().replace("$(KFWD_BENCH)", str(HERE))
        )
        with MiniCluster(manifest) as cluster:
            if "socat" in wanted:
                beside_socat(cluster.kubeconfig, Path(folder))
            if "kubectl" in wanted:
                beside_kubectl(cluster.kubeconfig)
            if "kernel" in wanted:
                kernel_times(cluster.kubeconfig)
    if "replacement" in wanted:
        beside_kubectl_when_a_pod_goes()
    if "start" in wanted:
        start_phases()
    if "display" in wanted:
        with MiniCluster() as cluster:
            display(cluster.kubeconfig, ROUNDS)
    if "tutorials" in wanted:
        tutorials()


main()
