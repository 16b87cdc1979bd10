"""What magics return, and the environment that a cluster lends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfwd_nb.cluster.options import Options
from kfwd_nb.errors import ClusterError, UnavailableError, UsageError
from kfwd_nb.notebook import nsenter
from kfwd_nb.notebook.embedded import VARIABLE, EmbeddedCluster
from kfwd_nb.notebook.portforward import others, select
from kfwd_nb.notebook.results import (
    ClusterStatus,
    ClusterUp,
    Entered,
    ServiceLine,
    ServiceList,
    Stopped,
)

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("isolation", "line"),
    [
        ("netns", ["nsenter", "-t", "42", "-n", "ss", "-l"]),
        ("userns", ["nsenter", "-U", "--preserve-credentials", "-t", "42", "-n", "ss", "-l"]),
        ("loopback", ["ss", "-l"]),
    ],
)
def test_the_line_that_enters_a_pod(isolation: str, line: list[str]) -> None:
    assert nsenter.command_line(42, isolation, ["ss", "-l"]) == line


def test_what_a_command_says_is_kept() -> None:
    done = nsenter.enter(1, "loopback", ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.output, done.status) == ("out\nerr\n", 3)
    assert done.note.startswith("loopback isolation")
    assert "exit status 3" in repr(done)


def test_a_command_that_says_too_much_is_cut() -> None:
    done = nsenter.enter(1, "loopback", ["sh", "-c", "seq 100000; echo end"])
    assert len(done.output) == nsenter.MAX_OUTPUT
    assert done.output.endswith("end\n")


def test_a_machine_without_nsenter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match="no nsenter"):
        nsenter.enter(1, "netns", ["ss"])
    with pytest.raises(UsageError, match="no command 'ss'"):
        nsenter.enter(1, "loopback", ["ss"])


@pytest.mark.parametrize(
    "result",
    [
        ClusterUp("a", "netns", "https://127.0.0.1:1", "/k", ("default/web",), 1.0),
        ServiceList("kind", (ServiceLine("default", "api", 80, "", "%portforward svc/api :80"),)),
        ServiceList("kind", ()),
        Entered("ls", "", "", 0),
    ],
)
def test_every_result_shows_itself_in_both_forms(result: Any) -> None:
    bundle = result._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == repr(result)
    assert all(bundle.values())


def test_the_next_line_to_try_is_one_that_works() -> None:
    up = ClusterUp("a", "netns", "", "", ("default/web", "default/db"), 1.0)
    assert up.next_line == "%portforward web :80"
    assert ClusterUp("a", "netns", "", "", ("shop/cart",), 1.0).next_line == "%kfwd services"


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("all", ["web", "page", "db"]),
        ("page", ["page"]),
        ("web", ["web"]),
        ("pod/web", ["web", "page"]),
        ("po/db", ["db"]),
        ("5432", ["db"]),
    ],
)
def test_what_stop_means(fake: Any, what: str, names: list[str]) -> None:
    running = [
        fake.make("web", name="web"),
        fake.make("web", ":7", name="page"),
        fake.make("db", "5432", name="db"),
    ]
    assert [each.name for each in select(what, running)] == names


def test_stop_that_means_nothing_says_what_runs(fake: Any) -> None:
    with pytest.raises(UsageError, match="running: web") as caught:
        select("wbe", [fake.make("web", name="web")])
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(UsageError, match="nothing is forwarded"):
        select("no/such/thing", [])


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ((), "stopped: web"),
        ((("pod/web", ("b",)),), "stopped: web (1 other leads to pod/web: b)"),
        ((("pod/web", ("b", "c")),), "stopped: web (2 others lead to pod/web: b, c)"),
    ],
)
def test_stopping_says_who_still_leads_there(others: Any, text: str) -> None:
    assert repr(Stopped(("web",), others)) == text


def test_only_forwards_to_the_same_pod_count_as_others(fake: Any) -> None:
    web, more, staging = fake.make("web"), fake.make("web"), fake.make("web", namespace="staging")
    more.name = "web-81"
    assert others([web], [more, staging, fake.make("db")]) == (("pod/web", ("web-81",)),)


def test_why_no_stronger_isolation_is_kept() -> None:
    line = "isolation userns: a user namespace (netns: not permitted)"
    up = ClusterUp("a", "userns", "", "", ("default/web",), 1.0, isolation_line=line)
    assert line in repr(up).splitlines()
    nodes = (("node-1", "userns", "ready"),)
    assert line in repr(ClusterStatus("a", "https://x", True, nodes, (1, 1), 0, line)).splitlines()


class FakeCluster:
    """Stands in for MiniCluster."""

    def __init__(self, *_: object, progress: Callable[[str], None] = print, **__: object) -> None:
        self.name, self.kubeconfig, self.running = "fake", Path("/run/fake/kubeconfig"), False
        self.relay, self.isolation, self.progress = "https://127.0.0.1:6443", "netns", progress

    def start(self) -> None:
        self.running = True
        self.progress("isolation netns: each pod has namespaces")
        self.progress("relay listens")

    def wait(self, timeout: float) -> bool:
        raise ClusterError("the relay ended by signal 9, and the cluster with it.")

    def stop(self) -> None:
        self.running = False


class TestEmbeddedCluster:
    @pytest.fixture
    def embedded(self, monkeypatch: pytest.MonkeyPatch) -> EmbeddedCluster:
        monkeypatch.setattr("kfwd_nb.cluster.MiniCluster", FakeCluster, raising=False)
        monkeypatch.setenv(VARIABLE, "/home/me/config")
        return EmbeddedCluster()

    def start(self, embedded: EmbeddedCluster) -> Any:
        return embedded.start(Options(), print)

    def test_the_environment_is_lent_and_given_back(self, embedded: EmbeddedCluster) -> None:
        cluster = self.start(embedded)
        assert embedded.cluster is cluster
        assert os.environ[VARIABLE] == "/run/fake/kubeconfig"
        assert embedded.stop() == "fake"
        assert embedded.cluster is None
        assert not cluster.running
        assert os.environ[VARIABLE] == "/home/me/config"

    def test_a_variable_that_was_not_there_goes_again(
        self, embedded: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(VARIABLE)
        self.start(embedded)
        embedded.stop()
        assert VARIABLE not in os.environ

    def test_what_the_user_sets_meanwhile_stays(
        self, embedded: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.start(embedded)
        monkeypatch.setenv(VARIABLE, "/home/me/other")
        embedded.stop()
        assert os.environ[VARIABLE] == "/home/me/other"

    def test_one_that_died_is_no_longer_there(self, embedded: EmbeddedCluster) -> None:
        self.start(embedded).running = False
        assert embedded.cluster is None
        second = self.start(embedded)
        assert embedded.cluster is second
        embedded.stop()
        assert os.environ[VARIABLE] == "/home/me/config"

    def test_the_same_options_are_harmless_and_others_are_refused(
        self, embedded: EmbeddedCluster
    ) -> None:
        embedded.start(Options(nodes=3), print)
        for same in (Options(nodes=3), Options(nodes=3, isolation="netns")):
            embedded.check_same(same)
        for other in (
            Options(),
            Options(nodes=3, isolation="loopback"),
            Options(nodes=3, connector="socat"),
            Options(Path("pods.yaml"), nodes=3),
            Options(nodes=3, kubeconfig=Path("kubeconfig")),
        ):
            with pytest.raises(UsageError, match="cluster fake is up with other options") as caught:
                embedded.check_same(other)
            assert caught.value.hint == "`%kfwd down` first."

    def test_what_it_said_of_its_isolation_is_kept(self, embedded: EmbeddedCluster) -> None:
        self.start(embedded)
        assert embedded.isolation_line == "isolation netns: each pod has namespaces"

    def test_one_that_dies_takes_its_forwards_and_is_remembered(
        self, embedded: EmbeddedCluster, fake: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside, outside = fake.make("web"), fake.make("db", server="https://elsewhere")
        monkeypatch.setattr("kfwd_nb.client.forwards", lambda: [inside, outside])
        cluster = self.start(embedded)
        embedded.check_not_lost()
        cluster.running = False
        with pytest.raises(ClusterError, match="cluster fake has ended: the relay ended by") as now:
            embedded.check_not_lost()
        assert "`%kfwd up` starts another" in str(now.value.hint)
        assert (inside.state, inside.reason) == ("stopped", "cluster fake has ended")
        assert outside.state == "listening"
        assert embedded.lost is not None
        assert embedded.lost.stopped == ("web",)
        assert os.environ[VARIABLE] == "/home/me/config"
        with pytest.raises(ClusterError):
            embedded.check_not_lost()
        self.start(embedded)
        embedded.check_not_lost()

    def test_down_is_for_our_own_only(self, embedded: EmbeddedCluster) -> None:
        with pytest.raises(UsageError, match="ends nothing else"):
            embedded.check_ours()
        self.start(embedded)
        embedded.check_ours()
        embedded.stop()
        embedded.check_ours()
