"""The forms of what is shown: `%config Kfwd.display`, and what is left when a widget cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kfwd_nb
from kfwd_nb.notebook.drawing.render import in_form
from kfwd_nb.notebook.live import LiveTable

pytestmark = pytest.mark.notebook

WIDGET = "application/vnd.jupyter.widget-view+json"

BUNDLE = {"text/html": "<p>", "text/plain": "p", WIDGET: "{}"}


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("text", ["text/plain"]),
        ("html", ["text/html", "text/plain"]),
        ("widget", ["text/html", "text/plain", WIDGET]),
    ],
)
def test_a_form_is_a_part_of_the_bundle(form: Any, kinds: list[str]) -> None:
    assert list(in_form(BUNDLE, form)) == kinds
    assert in_form({"text/plain": "p"}, form) == {"text/plain": "p"}


def test_nothing_shows_itself_behind_the_back_of_ipython() -> None:
    """Objects give a bundle, for hosts that format one without showing it."""
    for path in Path(kfwd_nb.__file__).parent.rglob("*.py"):
        assert "_ipython_display_" not in path.read_text(), path


@pytest.fixture
def kernel(fake_kernel: Any) -> Iterator[Any]:
    yield fake_kernel
    fake_kernel.ok("%portforward --stop all\n%config Kfwd.display = 'auto'")


ALL = (
    "%portforward web :80",
    "x = %portforward web :80\nx",
    "%portforward web :81 --name web",
    "x.connect()\n%portforward",
    "%%portforward web :82\nfwd",
    "%portforward --stop all",
)
"""Cells that show all there is to show of forwards, updates too."""


@pytest.mark.parametrize("display", ["auto", "html", "widget"])
def test_every_bundle_has_both_plain_forms_and_names_the_local_port(
    kernel: Any, display: str
) -> None:
    kernel.ok(f"%config Kfwd.display = {display!r}")
    count = 0
    for cell in ALL:
        for bundle in kernel.ok(cell).bundles:
            for form in ("text/html", "text/plain"):
                assert "400" in bundle[form], bundle  # local ports of the fake client: 400NN
            count += 1
    assert count >= len(ALL) + 2, "updates are among them"


def test_text_alone(kernel: Any) -> None:
    kernel.ok("%config Kfwd.display = 'text'")
    for cell in (*ALL, "%kfwd nsenter web -- true"):
        for bundle in kernel.run(cell).bundles:
            assert list(bundle) == ["text/plain"]
            assert "400" in bundle["text/plain"]
    kernel.ok("from kfwd_nb.notebook.results import PodList")
    (bundle,) = kernel.ok("PodList('here', ())").bundles
    assert list(bundle) == ["text/plain"], "what IPython shows by itself, too"


def test_the_form_can_be_changed_under_a_table(kernel: Any) -> None:
    kernel.ok("x = %portforward web :80")
    kernel.ok("%config Kfwd.display = 'text'")
    run = kernel.ok("%portforward --stop all")
    assert [list(bundle) for bundle in run.bundles] == [["text/plain"]] * len(run.bundles)
    assert "stopped" in run.text


def shown_last(messages: list[Any], display: str) -> dict[str, str]:
    """The last bundle under a display id."""
    mine = [
        each["content"]["data"]
        for each in messages
        if each["content"].get("transient", {}).get("display_id") == display
    ]
    return mine[-1] if mine else {}


class TestFreeze:
    """A widget gives way to its plain form when nothing can move it any more."""

    @pytest.fixture
    def kernel(self, new_kernel: Callable[..., Any], fake: Any) -> Iterator[Any]:
        kernel = new_kernel()
        kernel.ok(f"import sys; sys.path.insert(0, {fake.__file__.rpartition('/')[0]!r})")
        kernel.ok("import fake_client; fake_client.install()\n%load_ext kfwd_nb")
        kernel.ok("%config Kfwd.display = 'widget'")
        return kernel

    @pytest.mark.parametrize("end", ["board.close()", "%unload_ext kfwd_nb", ""])
    def test_of_a_dashboard_its_plain_table_is_left(self, kernel: Any, end: str) -> None:
        kernel.ok("fwd, _ = fake_client.forward_or_existing('web', ':80'); fwd.connect();")
        kernel.ok("fwd.started, fwd.log = 1.0, list")
        shown = kernel.ok("import kfwd_nb\nboard = kfwd_nb.Dashboard()\nboard").first_displays
        table, widget = (each["content"] for each in shown)
        assert WIDGET in widget["data"]
        assert WIDGET not in table["data"]
        display = widget["transient"]["display_id"]
        if end:
            messages = kernel.ok(end).messages
        else:
            kernel.client.shutdown()
            messages = kernel.listen(
                20, until=lambda each: WIDGET not in shown_last([each], display) != {}
            )
        assert list(shown_last(messages, display)) == ["text/html", "text/plain"]
        assert "1 in all" in table["data"]["text/plain"]


@pytest.mark.pure
def test_a_table_is_over_when_its_last_connection_is(fake: Any) -> None:
    forward = fake.make()
    table = LiveTable(lambda: (forward,), lambda _: None)
    forward.connect()
    forward.state = "stopped"
    table.refresh()
    assert not table.over, "a connection is open still"
    forward.held.clear()
    forward.forgotten = fake.Totals(opened=1)
    forward.revision += 1
    table.refresh()
    assert table.over
