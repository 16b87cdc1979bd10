"""The picture of a way: complete in each form, and whatever comes from a cluster is text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from kfwd_nb.client.hops.view import LINKS, PLACES, UNSEEN, FlowView, HopView, LinkView
from kfwd_nb.notebook.drawing.hop_picture import ALONE, MAX_ROWS, drawn, hops_bundle

pytestmark = pytest.mark.pure

HOSTILE = "<script>alert(1)</script>\x1b[31m'\"&"
NOTHING = (0,) * len(PLACES)
NONE = (None,) * len(PLACES)
SEEN = tuple(LinkView(name, "HTTP/2", "TLSv1.3 AES", 0.00123, "PING") for name in LINKS)
FOREIGN = (
    LinkView(LINKS[0], "SPDY", "TLSv1.3 AES", 0.02, "TCP"),
    *(LinkView(name, UNSEEN, None, None, "") for name in LINKS[1:]),
)


def flow(number=1, pod="default/web", node="node-1", up=NOTHING, down=NOTHING, **more):
    return FlowView(number, pod, node, up, down, 5.0, 5.0, **more)


def fault_of(bundle) -> list[str]:
    """The words of each box that is marked."""
    groups = [each for each in svg(bundle).iter() if each.get("class") == "failed"]
    return [" ".join("".join(group.itertext()).split()) for group in groups]


def view(*flows, why="", links=SEEN, more=0, name="web") -> HopView:
    return HopView(name, "127.0.0.1:8080 -> 80", "connect", 0.0, why, links, flows, more)


def svg(bundle) -> ET.Element:
    html = bundle["text/html"]
    return ET.fromstring(html[html.index("<svg") : html.index("</svg>") + len("</svg>")])


def texts(bundle) -> list[str]:
    return [each.text for each in svg(bundle).iter() if each.text and each.text.strip()]


def test_each_number_stands_at_its_place():
    octets = {"client": 1024, "relay": 2048, "relay/node agent": 3072, "node agent/pod": 4096}
    down = tuple(octets.get(place, 0) for place in PLACES)
    found = texts(hops_bundle(view(flow(down=down))))
    for words in (
        "holds ← 1.0 KiB",
        "holds ← 2.0 KiB",
        "← 3.0 KiB",
        "← 4.0 KiB",
        "PING 1.2 ms",
        "TLSv1.3",
    ):
        assert words in found, words
    picture = drawn(view(flow(down=down)))
    assert [box.below for box in picture.boxes[1:4]] == [
        ("holds ← 1.0 KiB",),
        ("holds ← 2.0 KiB",),
        ("holds nothing",),
    ]
    assert [span.down for span in picture.spans] == ["← 0 B", "← 0 B", "← 3.0 KiB", "← 4.0 KiB"]


def test_both_directions_stand_in_a_box_below_each_other():
    both = tuple(1024 if place == "relay" else 0 for place in PLACES)
    assert drawn(view(flow(up=both, down=both))).boxes[2].below == (
        "holds → 1.0 KiB",
        "← 1.0 KiB",
    )


def test_the_local_program_is_a_box_with_its_name_and_address():
    local = flow(peer="127.0.0.1:50123", program="psql")
    bundle = hops_bundle(view(local))
    assert {"local program", "psql", "127.0.0.1:50123", "local port"} <= set(texts(bundle))
    assert "local program psql: 127.0.0.1:50123" in bundle["text/plain"]
    assert "psql 127.0.0.1:50123" in drawn(view(local)).rows[0]
    unknown = hops_bundle(view(flow(peer="10.0.0.7:50123")))
    assert "local program: 10.0.0.7:50123" in unknown["text/plain"]
    inside = hops_bundle(view(flow(peer="in-process", program="this kernel")))
    assert "local port" not in texts(inside)
    several = drawn(view(local, flow(peer="127.0.0.1:50124", program="curl"))).boxes[0]
    assert (several.name, several.below) == ("2 programs", ("2 addresses",))
    same = drawn(view(local, flow(peer="127.0.0.1:50124", program="psql"))).boxes[0]
    assert (same.name, same.below) == ("psql", ("2 addresses",))


@pytest.mark.parametrize(
    ("way", "place", "box", "mark"),
    [
        ("down", "local program/client", "local program", "▲ does not read"),
        ("down", "client/relay", "client", "▲ does not read on"),
        ("up", "client", "relay", "▲ takes no more"),
        ("up", "relay/node agent", "node agent", "▲ does not read"),
        ("up", "node agent/pod", "pod", "▲ does not read"),
    ],
)
def test_who_is_at_fault_is_marked_with_a_sign_and_words(way, place, box, mark):
    waits = tuple(3 if each == place else 0 for each in PLACES)
    standing = flow(up=waits) if way == "up" else flow(down=waits)
    bundle = hops_bundle(view(standing))
    (marked,) = fault_of(bundle)
    assert marked.startswith(box)
    assert marked.endswith(mark)
    (line,) = [each for each in bundle["text/plain"].splitlines() if "▲" in each]
    assert line.startswith(box)
    assert line.endswith(mark)
    assert drawn(view(standing)).rows[0][-1] == {"pod": "pod's program"}.get(box, box)
    assert mark in svg(bundle).get("aria-label")


def test_nobody_is_marked_while_nothing_stands():
    for form in hops_bundle(view(flow())).values():
        assert "▲" not in form


def test_it_speaks_of_bytes_only():
    down = (1, 2048, 3_000_000, *NOTHING[3:])
    for form in hops_bundle(view(flow(down=down))).values():
        assert "octet" not in form
        assert "2.9 MiB down for 5 s" in form


def test_what_stands_still_is_said_in_words():
    bundle = hops_bundle(view(flow(down=(5, *NOTHING[1:]), number=3)))
    for form in bundle.values():
        assert "connection 3 stands still: 5 B down for 5 s" in form


def test_a_foreign_cluster_is_said_to_be_one():
    seen = (0, 0, *NONE[2:])
    bundle = hops_bundle(view(flow(up=seen, down=seen), why="no relay", links=FOREIGN))
    found = texts(bundle)
    assert {"API server", "kubelet"} <= set(found)
    assert found.count("not visible") == 3
    assert found.count("from here") == 3
    for form in bundle.values():
        assert "beyond the API server nothing is visible from here: no relay" in form


def test_trouble_is_named_and_not_by_colour_alone():
    silent = LinkView(
        LINKS[1], "HTTP/2", "TLSv1.3", None, "PING", "a PING is not answered", unanswered=True
    )
    bundle = hops_bundle(view(flow(), links=(SEEN[0], silent, SEEN[2])))
    assert "✕ no answer" in texts(bundle)
    (marked,) = fault_of(bundle)
    assert marked.startswith("node agent")
    assert marked.endswith("▲ does not answer")
    for form in bundle.values():
        assert "relay/node agent: a PING is not answered" in form


def test_without_a_connection():
    for form in hops_bundle(view()).values():
        assert "127.0.0.1:8080" in form
        assert ALONE in form


def test_text_from_elsewhere_is_text():
    bundle = hops_bundle(
        view(flow(pod=f"default/{HOSTILE}", node=HOSTILE, program=HOSTILE), name=HOSTILE)
    )
    assert "<script>" not in bundle["text/html"]
    for form in bundle.values():
        assert "\x1b" not in form
    svg(bundle)


def test_many_are_summed_up_and_those_that_stand_come_first():
    flows = [flow(number=number) for number in range(1, 40)]
    flows[4] = flow(number=5, down=(9, *NOTHING[1:]))
    picture = drawn(view(*flows, more=7))
    assert len(picture.rows) == MAX_ROWS
    assert [row[0] for row in picture.rows[:2]] == ["5", "39"]
    assert "46 open connections" in picture.title


def test_several_pods_and_nodes_are_counted():
    boxes = drawn(view(flow(pod="a/x"), flow(pod="a/y", node="node-2"))).boxes
    assert [box.name for box in boxes[1:]] == ["this kernel", "", "2 nodes", "2 pods"]
