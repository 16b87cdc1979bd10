"""Who has a local port, in words; and what a forward says of itself to other processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kfwd_nb.client import forward
from kfwd_nb.client.local.holder import MAX_NAME, Holder, holder_of, say
from kfwd_nb.ports import Target


@pytest.mark.pure
@pytest.mark.parametrize(
    ("holder", "text"),
    [
        (Holder(7, "python", "self", kernel=True), "this very process"),
        (
            Holder(7, "jupyter-lab", "server"),
            "jupyter-lab (pid 7), the server that this notebook runs in",
        ),
        (Holder(7, "nginx", folder="/srv"), "nginx (pid 7)"),
        (Holder(7, "kfwd", forwards="svc/api in shop"), "kfwd (pid 7, forwards svc/api in shop)"),
        (
            Holder(7, "ipykernel_launcher", kernel=True, folder="/home/me"),
            "another kernel of yours (pid 7, in /home/me)",
        ),
        (
            Holder(7, "x", kernel=True, folder="/home", notebook="/home/a.ipynb", forwards="web"),
            "another kernel of yours (pid 7, notebook /home/a.ipynb, forwards web)",
        ),
        (Holder(7, "x", kernel=True, user="ann"), "another kernel of user ann (pid 7)"),
    ],
)
def test_in_words(holder: Holder, text: str) -> None:
    assert str(holder) == text


OTHER = """
import sys
from kfwd_nb.client import forward
fwd = forward("svc/api", ":7", namespace="default")
print(fwd.local_port, flush=True)
sys.stdin.readline()
fwd.stop()
print("stopped", flush=True)
sys.stdin.read()
"""


@pytest.mark.chain
def test_a_forward_of_another_process_is_known_until_it_stops(
    relay, kubeconfig, tmp_path: Path
) -> None:
    program = tmp_path / "other.py"
    program.write_text(OTHER)
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert str(holder_of(port)) == (f"other.py (pid {other.pid}, forwards svc/api in default)")
        assert "memfd:kfwd" in open_files(other.pid)
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "stopped\n"
        assert "memfd:kfwd" not in open_files(other.pid)
        assert holder_of(port) is None
        other.kill()


def open_files(pid: int) -> str:
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them, for one
            found.append(str(each.readlink()))
    return "\n".join(found)


@pytest.mark.chain
def test_ours_says_it_for_each_port(relay, kubeconfig) -> None:
    before = open_files(os.getpid()).count("memfd:kfwd")
    with forward("web", ":7", ":echo") as fwd:
        said = open_files(os.getpid())
        for port in fwd.ports:
            assert f"/memfd:kfwd {port.local} pod/web in default (deleted)" in said
        holder = holder_of(fwd.ports[0].local)
        assert holder is not None
        assert (holder.relation, holder.forwards) == ("self", "pod/web in default")
    assert open_files(os.getpid()).count("memfd:kfwd") == before


@pytest.mark.chain
def test_a_long_name_is_cut_to_what_the_system_takes() -> None:
    said = say(8080, Target("deploy", "n" * 253), "s" * 63)
    assert said is not None
    name = str(Path(f"/proc/self/fd/{said}").readlink())
    os.close(said)
    assert len(name.removeprefix("/memfd:").removesuffix(" (deleted)")) == MAX_NAME
