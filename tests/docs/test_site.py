"""The site is built without a warning, and has all that there is to say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from reference import commands, manifests, structs
from reference.messages import messages
from reference.options import described, longest
from reference.parts import Described, anchor
from sphinx.util.inventory import InventoryFile

import kfwd_nb
from kfwd_nb.agent import config as agent
from kfwd_nb.cli.command import COMMANDS
from kfwd_nb.kube.manifests.schema import IGNORED, UNSUPPORTED
from kfwd_nb.notebook.arguments.kfwd import KFWD_COMMANDS, kfwd_parser
from kfwd_nb.notebook.arguments.portforward import portforward_parser
from kfwd_nb.notebook.settings import Kfwd
from kfwd_nb.relay import config as relay

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[2]

STRUCTS = (relay.RelayConfig, relay.Token, relay.Rule, agent.AgentConfig, agent.RelayAddress)


class Page(HTMLParser):
    """What a page has: the names of its places, its links, and the text of each section."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.texts: dict[str, str] = {}
        self._within: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.places.add(said.get("id") or "")
        self.links += [each for each in (said.get("href"), said.get("src")) if each]
        if tag == "section":
            self._within.append(said.get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._within.pop()

    def handle_data(self, data: str) -> None:
        for section in self._within:
            self.texts[section] = self.texts.get(section, "") + data


def undescribed(page: Page, items: Iterator[Described]) -> list[str]:
    """What has no place on the page, or nothing said of it."""
    return [each.name for each in items if each.anchor not in page.places or not each.text]


def test_every_public_name_has_its_place(site: Path) -> None:
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    there = {name for kind, names in inventory.data.items() if kind[:3] == "py:" for name in names}
    assert {f"kfwd_nb.{name}" for name in kfwd_nb.__all__ if name != "__version__"} <= there
    methods = [name for name, value in vars(kfwd_nb.Forward).items() if name[0] != "_"]
    internal = {"prepare", "start", "share", "lose", "again", "hops_soon"}
    assert {f"kfwd_nb.Forward.{name}" for name in set(methods) - internal} <= there


def test_every_option_of_the_magics(site: Path) -> None:
    page = Page(site / "magics.html")
    for parser in (portforward_parser(), *map(kfwd_parser, KFWD_COMMANDS)):
        magic = parser.prog
        assert undescribed(page, described(magic, parser)) == []
        for action in parser.options.values():
            assert anchor(magic, longest(action)) in page.places


def test_every_option_of_the_command(site: Path) -> None:
    page = Page(site / "cli.html")
    for command in COMMANDS:
        parser = commands.parser_of(command)
        assert undescribed(page, described(f"kfwd {command}", parser)) == []
        assert anchor("kfwd", command) in page.places


def test_every_field_of_the_files(site: Path) -> None:
    page = Page(site / "configuration.html")
    for struct in STRUCTS:
        said = structs.attributes(struct)
        for field in struct.__struct_fields__:
            assert said.get(field), f"{struct.__name__} says nothing of {field}"
        assert undescribed(page, iter(structs.fields(struct))) == []


def test_every_setting(site: Path) -> None:
    page = Page(site / "settings.html")
    assert {anchor("Kfwd", name) for name in Kfwd.class_own_traits(config=True)} <= page.places


def test_every_field_of_manifests(site: Path) -> None:
    page = Page(site / "manifests.html")
    for struct in manifests.types():
        text = page.texts[anchor("manifest", struct.__name__)]
        fields = [*IGNORED.get(struct, ()), *UNSUPPORTED.get(struct, ())]
        for field in [*manifests.understood(struct), *fields]:
            assert re.search(rf"\b{field}\b", text), (struct.__name__, field)


def test_every_tutorial_is_a_page(site: Path) -> None:
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "tutorials" / f"{notebook.stem}.html").is_file()


def test_messages_are_found_in_the_code() -> None:
    assert len(messages()) > 200


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc or path.name in ("genindex.html", "search.html"):
                continue
            target = path if not url.path else (path.parent / unquote(url.path)).resolve()
            place = unquote(url.fragment)
            if not target.exists() or (place and place not in pages[target].places):
                wrong.append(f"{path.name}: {link}")
    assert wrong == []
