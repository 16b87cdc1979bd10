"""The Tab key: what a word can become, and how long it waits to know."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from kfwd_nb.errors import KfwdError
from kfwd_nb.kube.completing import PREFIXES
from kfwd_nb.kube.kubeconfig import announce
from kfwd_nb.kube.typed_options import DIALECTS
from kfwd_nb.notebook.arguments.kfwd import KFWD_COMMANDS
from kfwd_nb.notebook.completion import MAX_ASKING, PATIENCE, KnownNames, Wanted, place, wanted

pytestmark = pytest.mark.pure

ANY = PREFIXES


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("x = 1", None),
        ("portforward we", None),
        ("5 %portforward_x we", None),
        ("%portforward ", Wanted("", ANY, "pod")),
        ("%portforward we", Wanted("we", ANY, "pod")),
        ("fwd = %portforward we", Wanted("we", ANY, "pod")),
        ("%%portforward we", Wanted("we", ANY, "pod")),
        ("%portforward svc/a", Wanted("svc/a", (), "svc", "svc/")),
        ("%portforward services/a", Wanted("services/a", (), "svc", "services/")),
        ("%portforward deploy a", Wanted("a", (), "deploy")),
        ("%portforward web 80", Wanted("80", (), "ports pod/web")),
        ("%portforward svc api :", Wanted(":", (), "ports svc/api", ":")),
        ("%portforward sts/d", Wanted("sts/d", (), "sts", "sts/")),
        ("%portforward web :80 --dialect ", Wanted("", DIALECTS)),
        ("%portforward web :80 --as ", Wanted("")),
        ("%portforward -n staging we", Wanted("we", ANY, "pod", "", "staging")),
        ("%portforward --context c -n s svc/", Wanted("svc/", (), "svc", "svc/", "s", "c")),
        ("%portforward -n st", Wanted("st", kind="namespace")),
        ("%portforward --stop w", Wanted("w", ("all",), "forward")),
        ("%portforward --loop ", Wanted("", ("thread", "kernel"))),
        ("%portforward --context ki", Wanted("ki", kind="context")),
        ("%kfwd status --context ", Wanted("", kind="context")),
        ("%portforward --kubeconfig ~/", None),
        ("%kfwd up -f po", None),
        ("%kfwd ", Wanted("", KFWD_COMMANDS)),
        ("%kfwd ns", Wanted("ns", KFWD_COMMANDS)),
        ("%kfwd nsenter w", Wanted("w", (), "pod")),
        ("%kfwd nsenter web -- l", None),
        ("%kfwd pods -n st", Wanted("st", kind="namespace")),
        ("%kfwd pods -A -n st", Wanted("st", kind="namespace")),
        ("%kfwd down ", Wanted("")),
        ("%kfwd up --isolation ", Wanted("", ("auto", "netns", "userns", "loopback"))),
        ("%kfwd up --connector ", Wanted("", ("netns", "socat"))),
        ("%kfwd up --kubeconfig /", None),
        ("%kfwd fault --cl", Wanted("--cl", ("-n", "--namespace", "--clear"))),
        ("%kfwd bogus -", Wanted("-")),
    ],
)
def test_wanted(text: str, want: Wanted | None) -> None:
    assert wanted(text) == want


def test_options_of_up_are_those_of_its_parser() -> None:
    want = wanted("%kfwd up --")
    assert want is not None
    assert {"--file", "--nodes", "--isolation", "--connector", "--kubeconfig"} <= set(want.fixed)


def test_options_are_known() -> None:
    want = wanted("%portforward web :80 --n")
    assert want is not None
    assert {"--name", "--namespace"} <= set(want.fixed)


def test_an_answer_is_kept_for_a_while() -> None:
    asked = []

    def ask(*key: str | None) -> list[str]:
        asked.append(key)
        return ["web", "db"]

    names = KnownNames(ask)
    assert names.get("pod", None, None) == ("web", "db")
    assert names.get("pod", None, None) == ("web", "db")
    assert names.get("pod", "staging", None) == ("web", "db")
    assert asked == [("pod", None, None), ("pod", "staging", None)]


def test_what_one_cluster_has_said_is_no_answer_of_another() -> None:
    places = {"none": (), "up": ("web", "db")}
    here = "none"

    def ask(*key: str | None) -> tuple[str, ...]:
        if here == "none":
            raise KfwdError("no cluster found.")
        return places[here]

    names = KnownNames(ask, lambda: here)
    assert names.get("pod", None, None) == ()
    here = "up"
    assert names.get("pod", None, None) == ("web", "db")
    here = "none"
    assert names.get("pod", None, None) == ()


def test_another_cluster_is_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/one")
    before = place()
    assert place() == before
    monkeypatch.setenv("KUBECONFIG", "/other")
    assert place() != before
    monkeypatch.setenv("KUBECONFIG", "/one")
    announce(Path("/embedded"))
    try:
        assert place() != before
    finally:
        announce(None)


def test_a_slow_cluster_costs_a_bounded_time_and_answers_the_next_tab() -> None:
    answer = threading.Event()

    def ask(*key: str | None) -> list[str]:
        answer.wait(10)
        return ["web"]

    names = KnownNames(ask)
    begun = time.monotonic()
    assert names.get("pod", None, None) == ()
    assert PATIENCE * 0.9 <= time.monotonic() - begun < PATIENCE * 2
    answer.set()
    assert names.get("pod", None, None) == ("web",)


def test_hanging_clusters_take_a_bounded_number_of_threads() -> None:
    answer = threading.Event()
    begun = []

    def ask(*key: str | None) -> list[str]:
        begun.append(key)
        answer.wait(30)
        return []

    names = KnownNames(ask)
    threads = [threading.Thread(target=names.get, args=("pod", f"ns-{n}", None)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == MAX_ASKING
    answer.set()


def test_an_error_is_no_answer() -> None:
    def ask(*key: str | None) -> list[str]:
        raise OSError

    assert KnownNames(ask).get("pod", None, None) == ()
