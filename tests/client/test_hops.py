"""Where octets are, and who is said to hold them up."""

from __future__ import annotations

import pytest

from kfwd_nb.client.hops.view import (
    BOXES,
    LINKS,
    PLACES,
    STANDS_AFTER,
    FlowView,
    HopView,
    LinkView,
)

pytestmark = pytest.mark.pure

NOTHING = (0,) * len(PLACES)
LONG = STANDS_AFTER + 1


def at(**places: int) -> tuple[int, ...]:
    """Octets by place, in which a slash is `__` and a blank `_`."""
    found = {name.replace("__", "/").replace("_", " "): count for name, count in places.items()}
    assert found.keys() <= set(PLACES)
    return tuple(found.get(place, 0) for place in PLACES)


def flow(up=NOTHING, down=NOTHING, still_up=LONG, still_down=LONG, number=1) -> FlowView:
    return FlowView(number, "default/web", "node-1", up, down, still_up, still_down)


def view(*flows: FlowView, why: str = "", links: tuple[LinkView, ...] = ()) -> HopView:
    return HopView("web", "127.0.0.1:8080 -> 80", "connect", 0.0, why, links, flows)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (at(node_agent__pod=5), "5 bytes up for 2 s: the pod's program does not read"),
        (at(client=9, relay=1, node_agent=1), "the pod's program does not read"),
        (at(client=9, relay__node_agent=1), "the node agent does not read"),
        (at(client=9, relay=1), "the node agent takes no more"),
        (at(client=9, client__relay=1), "10 bytes up for 2 s: the relay does not read"),
        (at(local_program__client=1), "the client does not read on"),
    ],
)
def test_on_the_way_up_it_is_the_last_place_that_waits(places, words):
    assert words in flow(up=places).stands


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (
            at(local_program__client=5, relay=7),
            "12 bytes down for 2 s: the local program does not",
        ),
        (at(client=1, node_agent__pod=7), "the local program does not read"),
        (at(client__relay=1, relay=1), "the client does not read on"),
        (at(relay=1, node_agent=3), "the client takes no more"),
        (at(relay__node_agent=2), "the relay does not read on"),
        (at(node_agent__pod=2), "the node agent does not read on"),
    ],
)
def test_on_the_way_down_it_is_the_first(places, words):
    assert words in flow(down=places).stands


@pytest.mark.parametrize("still", [None, 0.0, STANDS_AFTER - 0.1])
def test_what_moves_does_not_stand(still):
    assert not flow(up=at(client=9), down=at(client=9), still_up=still, still_down=still).stands


def test_nothing_does_not_stand():
    assert not flow().stands


def test_sums_are_of_what_is_known():
    unseen = (None,) * len(PLACES)
    both = view(flow(up=at(relay=3)), flow(up=at(relay=4)))
    assert both.octets("up", "relay") == 7
    some = view(flow(up=at(relay=3)), flow(up=unseen))
    assert some.octets("up", "relay") is None, "a part is not the sum"
    assert view(flow(up=unseen)).octets("up", "relay") is None


def test_without_a_connection_a_foreign_hop_stays_invisible():
    assert view().octets("up", "relay") == 0
    foreign = view(why="no relay")
    assert foreign.octets("up", "relay") is None
    assert foreign.octets("down", "client") == 0


def test_connections_that_stand_are_named():
    stands = view(flow(down=at(client=1), number=3), flow(number=4)).stands
    assert stands == (
        "connection 3 stands still: 1 byte down for 2 s: the local program does not read",
    )


@pytest.mark.parametrize(
    ("standing", "box", "does"),
    [
        (flow(down=at(local_program__client=1)), "local program", "does not read"),
        (flow(down=at(relay=1)), "client", "takes no more"),
        (flow(up=at(client__relay=1)), "relay", "does not read"),
        (flow(up=at(relay=1)), "node agent", "takes no more"),
        (flow(up=at(client=9, node_agent=1)), "pod", "does not read"),
    ],
)
def test_who_is_at_fault(standing, box, does):
    both = view(flow(number=2), standing)
    assert {each: both.fault(each) for each in BOXES if both.fault(each)} == {box: does}


def test_a_hop_that_does_not_answer_is_at_fault():
    silent = LinkView(LINKS[1], "HTTP/2", None, None, "PING", "no answer", unanswered=True)
    both = view(flow(up=at(relay=1)), links=(silent,))
    assert {each: both.fault(each) for each in BOXES if both.fault(each)} == {
        "node agent": "does not answer"
    }


def test_nobody_is_at_fault_while_nothing_stands():
    assert not any(map(view(flow(up=at(relay=1), still_up=0.0)).fault, BOXES))


def test_a_foreign_server_is_called_by_its_name():
    flows = FlowView(1, "", "", at(client=1), NOTHING, LONG, LONG, foreign=True)
    assert flows.stands == "1 byte up for 2 s: the API server takes no more"


def test_links_lie_between_the_places():
    assert [name.split("/") for name in LINKS] == [
        ["client", "relay"],
        ["relay", "node agent"],
        ["node agent", "pod"],
    ]
