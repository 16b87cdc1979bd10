"""The command's frame: which subcommand, exit status, and how errors look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Self

import pytest

from kfwd_nb import client
from kfwd_nb._version import __version__
from kfwd_nb.cli import command, main, port_forward
from kfwd_nb.cli.command import chosen
from kfwd_nb.client.events import Event
from kfwd_nb.client.log import EventStream
from kfwd_nb.errors import ConfigError

pytestmark = pytest.mark.pure

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The command sets handlers for the process that it is; this one is not its own."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_version() -> None:
    for start in (["-m", "kfwd_nb.cli"], ["-c", "from kfwd_nb.cli import main; main()"]):
        result = subprocess.run(
            [sys.executable, *start, "--version"], capture_output=True, text=True, check=True
        )
        assert result.stdout == f"kfwd {__version__}\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "error: the following arguments are required: COMMAND."),
        (["prot-forward"], "invalid choice: 'prot-forward'"),
        (["port-forward"], "error: no target given."),
        (["port-forward", "web"], "error: no port given."),
        (["web"], "error: no port given."),
        (["prot-forward", "web", "80"], "invalid choice: 'prot-forward'"),
        (["web", "80", "--address", "::1,127.0.0.1"], "argument --address: one address only"),
        (["web", "80", "--address", "::1", "--address", "127.0.0.1"], "--address: one address"),
        (["port-forward", "web", "70000"], "error: invalid port format '70000'."),
        (["port-forward", "web", "8080:0"], "the remote port cannot be 0"),
        (["port-forward", "-x", "web", "80"], "unrecognized arguments: -x"),
        (["port-forward", "secret/web", "80"], "'secret' is no resource kind"),
        (["cluster"], "required: action"),
        (["cluster", "down"], "invalid choice: 'down'"),
        (["cluster", "up", "--nodes", "0"], "error: --nodes 0"),
        (["cluster", "up", "--nodes", "many"], "invalid int value: 'many'"),
        (["cluster", "up", "--isolation", "none"], "invalid choice: 'none'"),
        (["svc/api", "70000"], "error: invalid port format '70000'."),
        (["web", "80", "--dialect", "http3"], "invalid choice: 'http3'"),
        (["web", "80", "--pod-running-timeout", "60"], "invalid duration '60'"),
        (["web", "80", "--pod-running-timeout", "0s"], "must be higher than zero"),
        (["web", "80", "--as-group", "devs"], "error: --as-group needs --as beside it."),
        (["web", "80", "-o", "yaml"], "invalid choice: 'yaml'"),
        (["completion", "tcsh"], "invalid choice: 'tcsh'"),
    ],
)
def test_a_line_that_cannot_be_meant(
    capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert error in err
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert len(lines) <= 2


def test_a_failure_has_status_1_and_its_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(words: object) -> int:
        raise ConfigError("no \x1b[31mcluster", hint="start one.")

    monkeypatch.setattr(port_forward, "run", fail)
    assert main(["port-forward", "web", "80"]) == 1
    assert capsys.readouterr().err == "error: no \\x1b[31mcluster\nhint: start one.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_the_ordinary_end(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def wait(words: object) -> int:
        signal.raise_signal(number)
        signal.raise_signal(number)
        raise AssertionError("the signal should have ended this")

    monkeypatch.setattr(port_forward, "run", wait)
    assert main(["port-forward", "web", "80"]) == 0


def test_a_signal_before_anything_listens_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        client, "forward_or_existing", lambda *_, **__: signal.raise_signal(signal.SIGINT)
    )
    assert main(["web", "80"]) == 130


def test_a_hangup_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang_up(words: object) -> int:
        signal.raise_signal(signal.SIGHUP)
        return 7

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(port_forward, "run", hang_up)
    assert main(["web", "80"]) == 7


def test_every_command_has_its_module() -> None:
    for name in command.COMMANDS:
        assert main_help(name).startswith("usage: kfwd ")


def test_help_leaves_no_argument_without_a_word() -> None:
    lines = [line.split() for line in main_help().splitlines()]
    assert ["COMMAND"] not in lines
    assert all([name, *what.split()] in lines for name, what in command.COMMANDS.items())


def test_a_forward_that_ends_by_itself_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Fake:
        """A forward that somebody else has stopped."""

        ports, reason = (), "over."

        def events(self, *, past: bool) -> EventStream:
            assert past
            return EventStream([Event("stopped", {"reason": self.reason})])

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(client, "forward_or_existing", lambda *_, **__: (Fake(), "started"))
    assert main(["port-forward", "-o", "json", "web", "80"]) == 1
    out, err = capsys.readouterr()
    assert '"event": "stopped"' in out
    assert err == "error: over.\n"


@pytest.mark.parametrize(
    ("words", "command", "rest"),
    [
        (["port-forward", "web", "80"], "port-forward", ["web", "80"]),
        (["svc/api", "8080:80"], "port-forward", ["svc/api", "8080:80"]),
        (["svc/api"], "port-forward", ["svc/api"]),
        (["web", ":80"], "port-forward", ["web", ":80"]),
        (["web", "-n", "staging", "80"], "port-forward", ["web", "-n", "staging", "80"]),
        (["-n", "x", "web", "80"], "port-forward", ["-n", "x", "web", "80"]),
        (["-n", "x", "port-forward", "web", "80"], "port-forward", ["-n", "x", "web", "80"]),
        (["pod", "web", "http"], "port-forward", ["pod", "web", "http"]),
        (["web", "http"], "port-forward", ["web", "http"]),
        (["web"], "port-forward", ["web"]),
        (["clutser", "up"], "clutser", ["up"]),
        (["8080:80"], "8080:80", []),
        (["help"], "help", []),
        (["prot-forward", "web", "80"], "prot-forward", ["web", "80"]),
        (["cluster", "up"], "cluster", ["up"]),
        (["--help"], "--help", []),
    ],
)
def test_a_target_needs_no_command(words: list[str], command: str, rest: list[str]) -> None:
    assert chosen(words) == (command, rest)


@pytest.mark.parametrize("start", ["kubectl-kfwd", "kfwd"])
def test_it_is_named_after_how_it_was_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{start}"])
    name = start.replace("-", " ")
    assert main(["web", "8080:0"]) == 2
    assert main(["port-forward", "--bogus"]) == 2
    assert f"hint: `{name} port-forward --help` shows" in capsys.readouterr().err
    for words in (["--version"], ["--help"], ["port-forward", "--help"]):
        with pytest.raises(SystemExit):
            main(words)
        assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], is_coloured: bool
) -> None:
    ours, theirs = os.openpty()
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-m", "kfwd_nb.cli", "port-forward", "web"],
        env=plain | {"TERM": "xterm"} | environment,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "no port given." in shown
    assert shown.startswith("\x1b[31merror:") == is_coloured
    assert ("\x1b" in shown) == is_coloured
    with_pipe = subprocess.run(
        [sys.executable, "-m", "kfwd_nb.cli", "port-forward", "web"],
        env=plain | {"TERM": "xterm"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert with_pipe.stderr.startswith("error: no port given.")


def test_a_reader_who_has_left_is_no_failure() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    result = subprocess.run(
        [sys.executable, "-m", "kfwd_nb.cli", "completion", "bash"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "kfwd_nb.cli", "completion", "bash"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == "error: standard output cannot be written: No space left on device.\n"


def main_help(*names: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "kfwd_nb.cli", *names, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout
