"""A terminal IPython: nothing is updated in place, everything is printed once."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

pytestmark = pytest.mark.notebook

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pexpect.spawn]:
    env = {**os.environ, "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")), "TERM": "dumb"}
    command = [
        *("-m", "IPython", "--simple-prompt", "--colors=nocolor", "--no-banner"),
        "--HistoryManager.enabled=False",
    ]
    child = pexpect.spawn(
        sys.executable, command, env=env, encoding="utf-8", timeout=30, dimensions=(40, 200)
    )
    child.expect_exact("In [1]: ")
    type_in(child, f"import sys; sys.path.insert(0, {str(HERE)!r}); import fake_client")
    type_in(child, "fake_client.install()")
    assert type_in(child, "%load_ext kfwd_nb") == ""
    yield child
    child.close(force=True)


def type_in(child: pexpect.spawn, line: str) -> str:
    """Type a line and give what is printed until the next prompt."""
    child.sendline(line)
    child.expect_exact("\n")
    child.expect(r"In \[\d+\]: ")
    return re.sub(r"Out\[\d+\]: ?", "", child.before.replace("\r", "")).strip()


ROW = re.compile(r"localhost:\d+ -> 80  pod/web  test/default  listening")


def test_a_forward_is_printed_once(terminal: pexpect.spawn) -> None:
    for line in (
        "%portforward web :80",
        "x = %portforward web :80",
        "x",
        "%portforward",
        "%portforward web :80;",
        "x = %portforward web :80;",
        "_ = [get_ipython().run_line_magic('portforward', 'web :80') for _ in (1,)]",
    ):
        assert len(ROW.findall(type_in(terminal, line))) == 1, line


def test_results_are_printed_once(terminal: pexpect.spawn) -> None:
    type_in(terminal, "%portforward web :81")
    assert type_in(terminal, "%portforward --stop all").count("stopped: ") == 1


def test_a_mistake_is_a_line(terminal: pexpect.spawn) -> None:
    shown = type_in(terminal, "%portforward web 70000").splitlines()
    assert next(filter(None, shown)) == "invalid port format '70000'."
    assert len([line for line in shown if line]) == 2


def test_enter_goes_on_asking_for_the_body_of_a_cell(terminal: pexpect.spawn) -> None:
    terminal.sendline("%%portforward web :82")
    terminal.expect_exact("...: ")
    terminal.sendline("print('state', fwd.state)")
    terminal.expect_exact("...: ")
    terminal.sendline("\n")  # --simple-prompt asks for two empty lines
    terminal.expect_exact("state listening")
    terminal.expect(r"In \[\d+\]: ")
    assert "stopped" in type_in(terminal, "fwd.state")


def test_watch_redraws_until_ctrl_c(terminal: pexpect.spawn) -> None:
    type_in(terminal, "fwd = %portforward web :80")
    terminal.sendline(
        "import threading; threading.Timer(0.5, fwd.connect).start(); "
        "get_ipython().run_line_magic('portforward', '--watch')"
    )
    terminal.expect_exact("0 open, 0 in all")
    terminal.expect_exact("1 open, 1 in all")
    time.sleep(0.1)
    os.kill(terminal.pid, signal.SIGINT)
    terminal.expect(r"In \[\d+\]: ")
    assert "Traceback" not in terminal.before
