"""The pictures and the plugins that stand in the documentation are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import architecture
import pytest
import yaml
from reference.commands import parser_of

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_floors_is_that_of_the_code() -> None:
    assert architecture.PICTURE.read_text() == architecture.picture(), (
        "run: .venv/bin/python docs/architecture.py"
    )


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_and_links_of_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text) + re.findall(
        r'src="(?!http)([^"]+)"', text
    )
    paths = re.findall(r"`((?:kfwd_nb|tests|docs|notebooks|binder)/[\w./-]*)`", text)
    assert [each for each in {*links, *paths} if not (ROOT / each).exists()] == []


def test_the_docstring_of_the_notebook_floor_has_its_modules_and_no_others() -> None:
    folder = ROOT / "kfwd_nb/notebook"
    words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    column = r"(?:^    |  )([a-z_]+(?:, [a-z_]+)*) {2,}"
    named = {name for each in re.findall(column, words, re.MULTILINE) for name in each.split(", ")}
    files = {each.stem for each in folder.glob("*.py")} - {"__init__"}
    folders = {each.parent.name for each in folder.glob("*/__init__.py")}
    assert named == files | folders


@pytest.mark.parametrize("page", ["ARCHITECTURE.md"])
def test_modules_that_a_page_names_exist(page: str) -> None:
    named = re.findall(
        r"`((?:notebook|cli|adapters|cluster|client|relay|agent|kube|transport"
        r"|protocol)/[\w./-]+)`",
        (ROOT / page).read_text(),
    )
    assert [each for each in named if not (ROOT / "kfwd_nb" / each).exists()] == []


def test_the_plugins_for_k9s_name_options_that_there_are() -> None:
    plugins = yaml.safe_load((ROOT / "docs" / "k9s-plugins.yaml").read_text())["plugins"]
    known = parser_of("port-forward")._option_string_actions
    for plugin in plugins.values():
        line = plugin["args"][1]
        command = line.partition("xargs kfwd port-forward ")[2]
        assert command
        options = re.findall(r"--[\w-]+", command)
        assert options
        assert set(options) <= set(known)
        assert set(re.findall(r"\$(\w+)", line)) <= {"CONTEXT", "NAMESPACE", "NAME"}
