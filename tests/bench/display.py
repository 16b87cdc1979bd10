"""What the display costs: connections that come and go, with a table and a dashboard shown."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

HELD = 1_000
RATE = 100
SECONDS = 5.0

CHURN = Path(__file__).parents[1] / "peers/churn.py"

SHOW = """
%load_ext kfwd_nb
import kfwd_nb
fwd = %portforward web :7
display(kfwd_nb.Dashboard())
"""

COST = f"""
import os, threading, time

def spent(thread):
    fields = open(f"/proc/self/task/{{thread}}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

def threads(*names):
    return [t.native_id for t in threading.enumerate() if t.name in names]

shows, tells = threads("kfwd-tables"), threads("IOPub")
before = [sum(map(spent, each)) for each in (shows, tells)], time.process_time()
opened = fwd.totals.opened
time.sleep({SECONDS})
costs = [sum(map(spent, each)) - was for each, was in zip((shows, tells), before[0])]
result = [100 * each / {SECONDS} for each in (*costs, time.process_time() - before[1])]
result += [(fwd.totals.opened - opened) / {SECONDS}, fwd.totals.open]
"""


def display(kubeconfig: Path, rounds: int) -> None:
    """Per cent of a core: the thread that draws, the thread that sends, the whole kernel."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(env=os.environ | {"KUBECONFIG": str(kubeconfig)})
    churn = None

    def run(code: str, expression: str = "None") -> str:
        reply = client.execute_interactive(
            code,
            timeout=120,
            output_hook=lambda _: None,
            user_expressions={"it": expression},
        )["content"]
        assert reply["status"] == "ok", reply
        return str(reply["user_expressions"]["it"]["data"]["text/plain"])

    try:
        port = run(SHOW, "fwd.local_port")
        words = [sys.executable, str(CHURN), port, str(HELD), str(RATE)]
        churn = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert churn.stdout is not None
        assert churn.stdout.readline() == "ready\n"
        found = [
            [float(each) for each in run(COST, "result")[1:-1].split(",")] for _ in range(rounds)
        ]
    finally:
        if churn is not None:
            churn.kill()
            churn.wait()
        client.stop_channels()
        manager.shutdown_kernel(now=False)
    draws, sends, whole, rate, held = (statistics.median(each) for each in zip(*found, strict=True))
    print(f"\n| {held:.0f} connections, {rate:.0f} replaced a second | % of a core |\n|---|---|")
    print(f"| the thread that draws table and dashboard | {draws:.1f} |")
    print(f"| the kernel's thread that sends all messages | {sends:.1f} |")
    print(f"| the whole kernel, the forward's own work included | {whole:.1f} |", flush=True)
