"""`%config Kfwd`: the user's own defaults, from a cell and from `ipython_config.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from traitlets import TraitError

from kfwd_nb.errors import UsageError
from kfwd_nb.notebook.arguments.defaults import Defaults
from kfwd_nb.notebook.arguments.kfwd import parse_kfwd
from kfwd_nb.notebook.arguments.listing import ListOptions
from kfwd_nb.notebook.arguments.nsenter import EnterOptions
from kfwd_nb.notebook.arguments.portforward import ForwardOptions, parse_block, parse_portforward
from kfwd_nb.notebook.settings import Kfwd
from kfwd_nb.ports import Target

WEB = Target("pod", "web")
MINE = Defaults(namespace="ml", context="big", address="127.0.0.9", loop="kernel")


@pytest.mark.pure
class TestDefaults:
    """What a line means where it says nothing."""

    @pytest.mark.parametrize(
        ("line", "differs"),
        [
            ("web :80", {}),
            ("web :80 -n shop", {"namespace": "shop"}),
            ("web :80 --context small", {"context": "small"}),
            ("web :80 --kubeconfig F", {"context": None, "kubeconfig": "F"}),
            ("web :80 --kubeconfig F --context big", {"kubeconfig": "F"}),
            ("web :80 --address ::1", {"address": "::1"}),
            ("web :80 --loop thread", {"loop": "thread"}),
        ],
    )
    def test_of_a_forward(self, line: str, differs: dict[str, Any]) -> None:
        mine = {"namespace": "ml", "context": "big", "address": "127.0.0.9", "loop": "kernel"}
        expected = ForwardOptions(WEB, (":80",), **(mine | differs))
        assert parse_portforward(line, defaults=MINE) == expected
        assert parse_block(line, defaults=MINE) == expected

    @pytest.mark.parametrize(
        ("line", "options"),
        [
            ("pods", ListOptions("ml", "big")),
            ("pods -A", ListOptions("ml", "big", everywhere=True)),
            ("services -n shop", ListOptions("shop", "big")),
            ("status", ListOptions(None, "big")),
            ("status --kubeconfig F", ListOptions(kubeconfig="F")),
            ("nsenter web -- ls", EnterOptions("web", ("ls",), "ml", "big")),
        ],
    )
    def test_of_a_look_at_the_cluster(self, line: str, options: object) -> None:
        assert parse_kfwd(line, defaults=MINE)[1] == options

    def test_they_are_no_options_of_a_line_without_target(self) -> None:
        parse_portforward("", defaults=MINE)

    def test_empty_settings_are_none(self) -> None:
        assert Kfwd().defaults() == Defaults()


@pytest.mark.pure
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("display", "x", "expected any of ['auto', 'widget', 'html', 'text'], not the str 'x'"),
        ("loop", "main", "expected any of ['thread', 'kernel'], not the str 'main'"),
        ("address", " ", "Kfwd.address = ' ': use localhost"),
        ("address", "::1,::2", "Kfwd.address = '::1,::2': use localhost"),
        ("link", "https://hub/", "Kfwd.link = 'https://hub/': a URL needs {port}"),
        ("namespace", 7, "expected a unicode string, not the int 7"),
    ],
)
def test_a_value_that_cannot_be_is_one_sentence(name: str, value: object, said: str) -> None:
    settings = Kfwd()
    before = getattr(settings, name)
    with pytest.raises(TraitError) as caught:
        setattr(settings, name, value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert getattr(settings, name) == before


@pytest.mark.pure
def test_a_link_is_handed_on_to_who_makes_links(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def set_template(template: str) -> None:
        if "hub" not in template:
            raise UsageError("no such place.")
        taken.append(template)

    links = SimpleNamespace(set_template=set_template)
    monkeypatch.setitem(sys.modules, "kfwd_nb.client.browser.links", links)
    settings = Kfwd()
    settings.link = "https://hub/{port}/"
    with pytest.raises(TraitError, match=r"x/{port}': no such place\.$"):
        settings.link = "https://x/{port}"
    assert taken == [settings.link] == ["https://hub/{port}/"]


@pytest.fixture
def kernel(fake_kernel: Any) -> Iterator[Any]:
    yield fake_kernel
    for line in ("namespace = ''", "context = ''", "address = 'localhost'", "loop = 'thread'"):
        fake_kernel.ok(f"%config Kfwd.{line}")
    fake_kernel.ok("%config Kfwd.display = 'auto'\n%portforward --stop all")


OPTIONS = "options = dict(fwd.parameters[2])\n"


@pytest.mark.notebook
class TestInAKernel:
    """The same, as a person types it."""

    def test_config_lists_them_with_help(self, kernel: Any) -> None:
        shown = kernel.ok("%config Kfwd").printed
        for name in ("namespace", "context", "address", "loop", "display", "link"):
            assert f"Kfwd.{name}=" in shown
        assert "empty: the context's own" in shown
        assert "    Kfwd\n" in kernel.ok("%config").printed

    def test_forwards_take_them(self, kernel: Any) -> None:
        kernel.ok('%config Kfwd.namespace = "ml"\n%config Kfwd.context = "big"')
        kernel.ok('%config Kfwd.address = "127.0.0.9"\n%config Kfwd.loop = "kernel"')
        names = "[options[each] for each in ('namespace', 'context', 'address', 'loop')]"
        kernel.ok("fwd = %portforward web :80 -n shop")
        assert kernel.ok(f"{OPTIONS}print({names})").printed == (
            "['shop', 'big', '127.0.0.9', 'kernel']\n"
        )
        assert kernel.ok(f"%%portforward web :81\n{OPTIONS}print({names})").printed == (
            "['ml', 'big', '127.0.0.9', 'kernel']\n"
        )

    def test_a_wrong_value_is_one_line_and_changes_nothing(self, kernel: Any) -> None:
        said = kernel.ok('%config Kfwd.display = "picture"').printed
        assert len(said.splitlines()) == 1
        assert "'auto', 'widget', 'html', 'text'" in said
        assert kernel.ok("print(get_ipython().run_line_magic('config', 'Kfwd.display'))").printed

    def test_they_outlive_a_reload_and_wrong_values_do_not_come_back(self, kernel: Any) -> None:
        kernel.ok('%config Kfwd.namespace = "ml"\n%config Kfwd.display = "picture"')
        kernel.ok("%reload_ext kfwd_nb")
        assert kernel.ok("%config Kfwd.namespace").text == "'ml'"
        kernel.ok("%unload_ext kfwd_nb")
        assert "Kfwd" not in kernel.ok("%config").printed
        kernel.ok("%load_ext kfwd_nb")
        assert kernel.ok("%config Kfwd.namespace").text == "'ml'"


def configured(make: Callable[..., Any], folder: Path, line: str) -> Any:
    """A kernel whose user has that line in their ipython_config.py."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(f"c = get_config()\n{line}\n")
    return make(IPYTHONDIR=str(folder))


@pytest.mark.notebook
def test_a_configuration_file_sets_them(new_kernel: Callable[..., Any], tmp_path: Path) -> None:
    kernel = configured(new_kernel, tmp_path, 'c.Kfwd.namespace = "ml"; c.Kfwd.loop = "kernel"')
    kernel.ok("%load_ext kfwd_nb")
    assert kernel.ok("%config Kfwd.namespace").text == "'ml'"
    assert kernel.ok("%config Kfwd.loop").text == "'kernel'"


@pytest.mark.notebook
def test_a_wrong_value_in_a_configuration_file_is_a_line_or_two(
    new_kernel: Callable[..., Any], tmp_path: Path
) -> None:
    kernel = configured(new_kernel, tmp_path, 'c.Kfwd.display = "picture"')
    run = kernel.run("%load_ext kfwd_nb")
    assert run.status == "error"
    assert len(run.lines) == 2
    assert "not the str 'picture'" in run.lines[0]
    assert "ipython_config.py" in run.lines[1]
