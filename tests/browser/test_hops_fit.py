"""The picture of a way in a real browser: nothing in it is cut, and no words lie on others."""

from __future__ import annotations

import pytest
from peers.jupyter_server import browser

from kfwd_nb.client.hops.view import LINKS, PLACES, UNSEEN, FlowView, HopView, LinkView
from kfwd_nb.notebook.drawing.hop_picture import hops_bundle

pytestmark = pytest.mark.browser

MANY = (987 << 20,) * len(PLACES)
"""Octets whose words are long."""

UNSEEN_PLACES = (*MANY[:2], *(None,) * (len(PLACES) - 2))
SLOW = tuple(LinkView(name, "HTTP/2", "TLSv1.3", 0.0999, "PING") for name in LINKS)
SILENT = tuple(
    LinkView(name, "HTTP/2", "TLSv1.3", None, "PING", "silent", unanswered=True)
    for name in LINKS[:2]
)
FOREIGN = (
    LinkView(LINKS[0], "SPDY in a WebSocket", "TLSv1.3", 0.0999, "TCP"),
    *(LinkView(name, UNSEEN, None, None, "") for name in LINKS[1:]),
)

MISFITS = """() => {
  const inner = document.querySelector("svg").viewBox.baseVal, found = [];
  const words = [...document.querySelectorAll("svg text:not(:empty)")].map(
    each => [each.textContent, each.getBBox()]);
  const meet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width
    && a.y < b.y + b.height - 3 && b.y < a.y + a.height - 3;
  const within = (a, b) => a.x >= b.x && a.x + a.width <= b.x + b.width;
  const boxes = [...document.querySelectorAll("svg rect")].map(each => each.getBBox());
  words.forEach(([text, at], place) => {
    if (!within(at, inner)) found.push(text + " is cut");
    if (boxes.some(box => meet(at, box) && !within(at, box))) found.push(text + " leaves its box");
    words.slice(place + 1).forEach(([other, there]) => {
      if (meet(at, there)) found.push(text + " lies on " + other);
    });
  });
  return found;
}"""


def a_view(up, down, links=SLOW, why="") -> HopView:
    flow = FlowView(
        *(1, "default/api-5d9f7c6b8-x2x4q", "kfwd-control-plane", up, down, 9.0, 9.0, 0.1),
        *("255.255.255.255:65535", "chromium-browse", bool(why)),
    )
    return HopView("web", "127.0.0.1:8080 -> 80", "connect", 0.0, why, links, (flow,))


@pytest.fixture(scope="module")
def chrome():
    with browser() as running:
        yield running


@pytest.mark.parametrize("width", [720, 1100])
@pytest.mark.parametrize(
    "view",
    [
        a_view(MANY, MANY),
        a_view((0,) * len(PLACES), MANY),
        a_view(UNSEEN_PLACES, UNSEEN_PLACES, (*SILENT, SLOW[2])),
        a_view(UNSEEN_PLACES, UNSEEN_PLACES, FOREIGN, "it tells nothing"),
    ],
    ids=["both ways", "down", "silent", "foreign"],
)
def test_nothing_is_cut(chrome, view, width):
    page = chrome.new_page(viewport={"width": width, "height": 500})
    page.set_content(hops_bundle(view)["text/html"])
    assert page.evaluate(MISFITS) == []
    sizes = page.eval_on_selector_all(
        "svg text:not(:empty)", "all => all.map(each => each.getBoundingClientRect().height)"
    )
    assert min(sizes) > 9, "it can be read"
    page.close()
