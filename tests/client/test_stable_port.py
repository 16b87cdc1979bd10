"""The number that `:PORT` tries first, and what happens when it is taken."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections import Counter

import pytest
from peers.plain import connect, echo

from kfwd_nb.client import forward
from kfwd_nb.client.local.stable_port import FIRST, LAST
from kfwd_nb.client.local.stable_port import stable_port as number
from kfwd_nb.ports import Target

WEB = Target("pod", "web")


@pytest.mark.pure
def test_it_is_the_same_on_every_machine_and_in_every_release():
    """Bookmarks depend on these very numbers."""
    assert number("kind", "default", WEB, 80) == 22940
    assert number("", "shop", Target("svc", "api"), 8080) == 28228


@pytest.mark.pure
def test_everything_about_a_port_of_a_target_counts():
    numbers = {
        number("kind", "default", WEB, 80),
        number("prod", "default", WEB, 80),
        number("kind", "staging", WEB, 80),
        number("kind", "default", Target("svc", "web"), 80),
        number("kind", "default", WEB, 81),
        number("kinddefault", "", WEB, 80),
    }
    assert len(numbers) == 6


@pytest.mark.pure
def test_numbers_are_spread_below_those_that_systems_give_away():
    spread = Counter(number("kind", f"ns-{n}", WEB, 80) // 1000 for n in range(5_000))
    assert (FIRST, LAST) == (20_000, 29_999)
    assert sorted(spread) == list(range(20, 30))
    assert min(spread.values()) > 350


@pytest.mark.chain
class TestForward:
    """`:PORT` against a relay."""

    @pytest.fixture
    def context(self, kubeconfig) -> str:
        """A name of its own, so that no other run of this test on this machine gets the number."""
        name = f"tests-{secrets.token_hex(4)}"
        kubeconfig.write_text(kubeconfig.read_text().replace("tests", name))
        return name

    @pytest.fixture
    def derived(self, monkeypatch):
        """Sets the number that every forward derives."""
        module = sys.modules["kfwd_nb.client.forwarding"]
        return lambda port: monkeypatch.setattr(module, "stable_port", lambda *_: port)

    def test_the_same_line_gets_the_same_port_each_time(self, relay, context):
        locals_ = set()
        for _ in range(3):
            with forward("web", ":7", ":echo") as fwd:
                first, second = fwd.ports
                locals_.add(first.local)
                assert second.local != first.local, "both have derived the same number"
                for port in fwd.ports:
                    with connect(port.local) as sock:
                        assert echo(sock, b"x") == b"x"
        assert locals_ == {number(context, "default", WEB, 7)}

    def test_two_forwards_that_derive_the_same_number_both_work(self, relay, kubeconfig, derived):
        with socket.create_server(("127.0.0.1", 0)) as free:
            chosen = free.getsockname()[1]
        derived(chosen)
        with forward("web", ":7") as one, forward("svc/api", ":7") as two:
            assert one.local_port == chosen != two.local_port
            for each in (one, two):
                with connect(each.local_port) as sock:
                    assert echo(sock, b"x") == b"x"

    def test_one_that_somebody_has_in_either_family_is_left_to_them(
        self, relay, kubeconfig, derived
    ):
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.create_server((address, 0), family=family) as taken:
                theirs = taken.getsockname()[1]
                derived(theirs)
                with forward("web", ":7") as fwd, connect(fwd.local_port) as sock:
                    assert fwd.local_port != theirs
                    assert fwd.ports[0].addresses == ("127.0.0.1", "::1")
                    assert echo(sock, b"x") == b"x"

    def test_a_number_of_ones_own_stays_as_it_is(self, relay, kubeconfig):
        with socket.create_server(("127.0.0.1", 0)) as free:
            chosen = free.getsockname()[1]
        with forward("web", f"{chosen}:7") as fwd:
            assert fwd.local_port == chosen

    def test_in_a_terminal_too(self, relay, context):
        words = ["kfwd_nb.cli", "port-forward", "web", ":7"]
        with subprocess.Popen(
            [sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True
        ) as kfwd:
            try:
                assert kfwd.stdout is not None
                said = kfwd.stdout.readline()
            finally:
                kfwd.terminate()
        assert f"127.0.0.1:{number(context, 'default', WEB, 7)} -> 7" in said
