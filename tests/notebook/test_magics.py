"""The magics in a real kernel, over forwards that are moved by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.notebook


@pytest.fixture
def kernel(fake_kernel: Any) -> Any:
    fake_kernel.ok("for each in fake_client.forwards(): each.stop()")
    fake_kernel.listen(0.3)
    return fake_kernel


def local_ports(kernel: Any, *names: str) -> list[str]:
    """Those of forwards that are variables of the notebook."""
    return [kernel.ok(f"print({name}.local_port)").printed.strip() for name in names]


def only(run: Any) -> str:
    """The text of the run's one display."""
    assert len(run.displays) == 1, run.text
    return run.text


@pytest.mark.parametrize(
    "cell",
    [
        "%portforward web :80",
        "x = 1\n%portforward web :80",
        "%portforward web :80\nx = 1",
        "x = %portforward web :80",
        "x = %portforward web :80\nx",
        "%portforward web :80;",
        "if True:\n    %portforward web :80",
        "%portforward web :80  # the page",
        "x = %portforward web :80;",
        "x = %portforward web :80\nx;",
        "def f():\n    %portforward web :80\nf()",
        "def f():\n    fwd = %portforward web :80\n    return fwd\nf()",
        "try:\n    x = %portforward web :80\nfinally:\n    pass",
        "for n in (1,):\n    x = %portforward web :80",
        "get_ipython().run_line_magic('portforward', 'web :80')",
        "%time %portforward web :80",
        "import asyncio\nx = %portforward web :80\nawait asyncio.sleep(0)\nx",
        "x = %portforward web :80\nx = [x]",
    ],
)
def test_shown_exactly_once(kernel: Any, cell: str) -> None:
    assert "listening" in only(kernel.ok(cell))


@pytest.mark.parametrize(
    "cell",
    [
        "%portforward --stop all",
        "x = %portforward --stop all",
        "x = %portforward --stop all\nx",
        "%portforward --stop all;",
        "%portforward --stop all\ny = 1",
    ],
)
def test_what_was_stopped_is_said_exactly_once(kernel: Any, cell: str) -> None:
    kernel.ok("%portforward web :80")
    firsts = [each["content"]["data"]["text/plain"] for each in kernel.ok(cell).first_displays]
    assert len(firsts) == 1
    assert re.fullmatch(r"stopped: pod/web\nlocal port free again: 400\d\d", firsts[0])


def test_shown_exactly_once_where_every_expression_is_shown(kernel: Any) -> None:
    kernel.ok("%config InteractiveShell.ast_node_interactivity = 'all'")
    try:
        run = kernel.ok("%portforward a :80\n%portforward b :80\nx = %portforward c :80\nx")
        assert len(run.displays) == 3
    finally:
        kernel.ok("%config InteractiveShell.ast_node_interactivity = 'last_expr'")


def test_shown_once_each_in_a_loop(kernel: Any) -> None:
    run = kernel.ok("for pod in ('a', 'b', 'c'):\n    %portforward {pod} :80")
    firsts = [line for line in run.text.splitlines() if not line.startswith(" ")]
    assert [line.split()[3] for line in firsts] == ["pod/a", "pod/b", "pod/c"]
    assert len(run.displays) == 3


def test_a_forward_is_shown_again_when_asked_again(kernel: Any) -> None:
    kernel.ok("x = %portforward web :80")
    assert "listening" in only(kernel.ok("x"))
    assert len(kernel.ok("%portforward web :80\nx\ndisplay(x)").displays) == 2


def test_the_same_line_gives_the_same_forward(kernel: Any) -> None:
    kernel.ok("a = %portforward web :80")
    run = kernel.ok("b = %portforward web :80")
    assert only(run).startswith("already forwarding\n")
    assert kernel.ok("print(a is b)").printed == "True\n"
    kernel.ok("c = %portforward web :80 --name page")
    run = kernel.ok("d = %portforward web :81 --name page")
    (shown,) = run.first_displays
    first = shown["content"]["data"]["text/plain"].splitlines()[0]
    old, new = (f"page (pod/web 127.0.0.1:{n} -> {{}})" for n in local_ports(kernel, "c", "d"))
    assert first == f"replaced {old.format(80)} by {new.format(81)}"
    assert kernel.ok("print(a.state, c.state, d.state)").printed == "listening stopped listening\n"


MISTAKES = [
    ("%portforward web 70000", "invalid port format '70000'."),
    ("%portforward web {port}", "port is not defined in this notebook."),
    ("%portforward web $port", "port is not defined in this notebook."),
    ("%portforward web", "no port given."),
    ("%portforward gone :80", 'pod "gone" not found in namespace "default".'),
    ("%portforward --stop nothing", "no forward has the name, target or local port 'nothing'."),
    ("%portforward web :80 --lop x", "%portforward: unrecognized arguments: --lop x."),
    ("%portforward web :80 --dialect h3", "%portforward: argument --dialect: invalid choice: 'h3'"),
    ("%portforward web :80 --pod-running-timeout 1", "%portforward: argument --pod-running-tim"),
    ("%portforward web :80 --as-group a", "--as-group needs --as beside it."),
    ("%kfwd", "%kfwd needs a command."),
    ("%kfwd upp", "%kfwd has no command 'upp'."),
    ("%kfwd down", "this kernel has started no embedded cluster"),
    ("%kfwd nsenter web", "%kfwd nsenter needs a pod, then -- and a command."),
    ("%%portforward\n1", "%%portforward forwards for the length of its cell"),
    ("%%portforward web :80 --name a-b\n1", "--name a-b cannot be the name of a variable."),
    ("%%portforward gone :80\n1", 'pod "gone" not found in namespace "default".'),
    ("%%portforward web :80\n%portforward web 0:0", "invalid port format '0:0'"),
]


@pytest.mark.parametrize(("cell", "said"), MISTAKES)
def test_a_mistake_is_a_line_or_two_and_the_cell_fails(kernel: Any, cell: str, said: str) -> None:
    run = kernel.run(cell)
    assert run.status == "error"
    assert run.lines[0].startswith(said)
    assert len(run.lines) <= 2
    assert "Traceback" not in run.printed + "".join(run.lines)


def test_what_was_found_running_is_not_said_of_one_that_is_stopped(kernel: Any) -> None:
    kernel.ok("%portforward web :80")
    run = kernel.ok("%portforward web :80\n%portforward --stop web")
    texts = [each["content"]["data"]["text/plain"] for each in run.displays]
    tables = [text for text in texts if "pod/web" in text and "stopped: web" not in text]
    assert "already forwarding" in tables[0]
    assert "already forwarding" not in tables[-1]


def test_run_all_stops_at_a_mistake(kernel: Any) -> None:
    first = kernel.send("%portforward web 70000")
    second = kernel.send("print('never')")
    assert kernel.finish(first).status == "error"
    reply = kernel.client.get_shell_msg(timeout=10)
    assert reply["parent_header"]["msg_id"] == second
    assert reply["content"]["status"] == "aborted"


class TestCell:
    """`%%portforward`."""

    BODIES = (
        ("print(fwd.state)", "listening\n"),
        ("", ""),
        ("import asyncio\nawait asyncio.sleep(0.01)\nprint(fwd.state)", "listening\n"),
        ("async with asyncio.timeout(1):\n    print(fwd.state)", "listening\n"),
        ("for n in range(2):\n    print(n)", "0\n1\n"),
        ("here = %pwd\nprint(bool(here))", "True\n"),
        ("!echo said", "said\n"),
        ("text = '''a\n  b\n'''\nprint(repr(text))", "'a\\n  b\\n'\n"),
        ("def f():\n    return 7\nprint(f())", "7\n"),
    )

    @pytest.mark.parametrize(("body", "printed"), BODIES)
    def test_the_body_is_an_ordinary_cell(self, kernel: Any, body: str, printed: str) -> None:
        kernel.ok("import asyncio")
        run = kernel.ok(f"%%portforward web :80\n{body}")
        assert run.printed.replace("\r", "") == printed
        assert "stopped" in run.bundles[-1]["text/plain"]
        assert kernel.ok("print(fwd.state)").printed == "stopped\n"

    ENDS = (
        ("1 / 0", "ZeroDivisionError"),
        ("await asyncio.sleep(0)\n1 / 0", "ZeroDivisionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("%portforward web 70000", "UsageError"),
    )

    @pytest.mark.parametrize(("body", "name"), ENDS)
    def test_an_exception_ends_the_forward(self, kernel: Any, body: str, name: str) -> None:
        kernel.ok("import asyncio")
        run = kernel.run(f"%%portforward web :80\n{body}")
        assert (run.status, run.reply["content"]["ename"]) == ("error", name)
        assert kernel.ok("print(fwd.state)").printed == "stopped\n"

    def test_a_traceback_points_to_the_line_of_the_user(self, kernel: Any) -> None:
        run = kernel.run("%%portforward web :80\nx = 1\ny = x / 0")
        shown = "\n".join(run.lines)
        assert "line 3" in shown.replace("\x1b[39m", "").replace("\x1b[32m", "")
        assert "notebook/cell.py" not in shown

    def test_the_last_expression_is_shown(self, kernel: Any) -> None:
        run = kernel.ok("%%portforward web :80\n6 * 7")
        shown = [each for each in run.displays if each["msg_type"] == "execute_result"]
        assert [each["content"]["data"]["text/plain"] for each in shown] == ["42"]
        assert not [
            each
            for each in kernel.ok("%%portforward web :80\n6 * 7;").displays
            if each["msg_type"] == "execute_result"
        ]

    def test_the_forward_has_the_name_of_the_line(self, kernel: Any) -> None:
        assert kernel.ok("%%portforward web :80 --name page\nprint(page.state)").printed == (
            "listening\n"
        )

    def test_variables_in_the_line_are_filled_in(self, kernel: Any) -> None:
        kernel.ok("pod, port = 'db', 5432")
        run = kernel.ok("%%portforward {pod} :$port\nprint(fwd.target, fwd.ports[0].remote)")
        assert run.printed == "pod/db 5432\n"

    @pytest.mark.parametrize("outer", ["%%time", "%%capture said"])
    def test_inside_another_cell_magic(self, kernel: Any, outer: str) -> None:
        kernel.ok(f"{outer}\n%%portforward web :80\nstate = fwd.state")
        assert kernel.ok("print(state, fwd.state)").printed == "listening stopped\n"

    def test_a_forward_that_was_running_goes_on(self, kernel: Any) -> None:
        kernel.ok("before = %portforward web :80")
        run = kernel.ok("%%portforward web :80\nprint(fwd is before)")
        assert run.printed == "True\n"
        assert kernel.ok("print(before.state)").printed == "listening\n"

    def test_other_cells_stay_as_they_are(self, kernel: Any) -> None:
        assert kernel.ok("print('%%portforward web :80')").printed == "%%portforward web :80\n"
        assert kernel.ok("%%portforward?").status == "ok"


class TestLive:
    """The table under a cell, seen from outside of the kernel."""

    def test_updates_belong_to_the_cell_that_showed_the_table(self, kernel: Any) -> None:
        first = kernel.ok("fwd = %portforward web :80")
        display = first.displays[0]["content"]["transient"]["display_id"]
        run = kernel.ok(
            "import time\nfwd.connect()\n"
            "for n in range(8):\n    fwd.move(9999)\n    time.sleep(0.2)"
        )
        updates = [each for each in run.displays if each["msg_type"] == "update_display_data"]
        assert len(updates) >= 4
        *while_it_ran, last = updates
        for each in while_it_ran:
            assert each["content"]["transient"]["display_id"] == display
            assert each["parent_header"]["msg_id"] == first.reply["parent_header"]["msg_id"]
        assert last["content"]["transient"]["display_id"] == display
        assert last["parent_header"] == run.reply["parent_header"], "said once more, for nbclient"

    def test_a_capture_elsewhere_takes_no_updates(self, kernel: Any) -> None:
        kernel.ok("fwd = %portforward web :80")
        run = kernel.ok(
            "%%capture said\nimport time\nfwd.connect()\n"
            "for n in range(4):\n    fwd.move(9999)\n    time.sleep(0.2)"
        )
        assert [each["msg_type"] for each in run.displays if each["parent_header"]]
        assert kernel.ok("print(len(said.outputs))").printed == "0\n"

    def test_a_captured_table_does_not_grow(self, kernel: Any) -> None:
        kernel.ok("%%capture said\nfwd = %portforward web :80")
        kernel.ok("import time\nfwd.connect()\ntime.sleep(1)")
        assert kernel.ok("print(len(said.outputs))").printed == "1\n"

    def test_an_idle_forward_says_nothing(self, kernel: Any) -> None:
        run = kernel.ok("fwd = %portforward web :80\nfwd.connect()\nfwd.move(9999)")

        def has_come_to_rest(message: dict[str, Any]) -> bool:
            text = message["content"].get("data", {}).get("text/plain", "")
            return "idle" in text and "9.8 KiB" in text

        if not any(map(has_come_to_rest, run.displays)):
            assert has_come_to_rest(kernel.listen(10, until=has_come_to_rest)[-1])
        assert kernel.listen(2) == [], "the picture of the last minute is no news"

    @pytest.mark.parametrize("cell", ["%portforward late :80", "%%portforward late :80\npass"])
    def test_the_table_takes_the_place_of_the_wait(self, kernel: Any, cell: str) -> None:
        run = kernel.ok(cell)
        assert len(run.first_displays) == 1
        first, second, *_ = run.displays
        assert "waiting for pod/late to run" in first["content"]["data"]["text/plain"]
        assert "pod/late" in second["content"]["data"]["text/plain"]
        assert "waiting" not in second["content"]["data"]["text/html"]

    def test_all_forwards_in_one_table(self, kernel: Any) -> None:
        assert "Nothing is forwarded" in only(kernel.ok("%portforward"))
        kernel.ok("a = %portforward web :80\nb = %portforward svc/api :80")
        text = only(kernel.ok("every = %portforward\nevery"))
        assert "pod/web" in text
        assert "svc/api" in text
        assert kernel.ok("print([each.name for each in every])").printed == (
            "['pod/web', 'svc/api']\n"
        )

    def test_a_table_of_all_forwards_shows_later_ones(self, kernel: Any) -> None:
        shown = kernel.ok("%portforward").displays[0]["content"]["transient"]["display_id"]
        run = kernel.ok("fake_client.forward_or_existing('pod/later', ':80')")

        def later(message: dict[str, Any]) -> bool:
            content = message["content"]
            return (
                content.get("transient", {}).get("display_id") == shown
                and "pod/later" in content["data"]["text/plain"]
            )

        assert any(map(later, run.displays)) or any(map(later, kernel.listen(5, until=later)))

    @pytest.mark.parametrize("what", ["web", "pod/web", "all", "{fwd.local_port}"])
    def test_stop(self, kernel: Any, what: str) -> None:
        kernel.ok("fwd = %portforward pod/web :80")
        run = kernel.ok(f"stopped = %portforward --stop {what}")
        assert [each for each in run.bundles if "stopped: pod/web" in each["text/plain"]]
        assert kernel.ok("print(fwd.state, stopped.names)").printed == "stopped ('pod/web',)\n"


def test_tab(kernel: Any) -> None:
    kernel.ok("%portforward web :80")

    def matches(code: str) -> list[str]:
        kernel.client.complete(code)
        return kernel.client.get_shell_msg(timeout=10)["content"]["matches"]

    assert matches("%kfwd n") == ["nsenter"]
    assert set(matches("%portforward --stop ")) == {"pod/web", "all"}
    assert "%portforward" in matches("%portf")
    assert matches("%portforward svc/a --loo") == ["--loop"]


def test_help_is_worth_reading(kernel: Any) -> None:
    for magic in ("%portforward", "%kfwd"):
        (payload,) = kernel.ok(f"{magic}?").reply["content"]["payload"]
        text = payload["data"]["text/plain"]
        assert f"{magic} " in text
        assert "-n" in text


@pytest.mark.parametrize(
    "line", ["%kfwd -h", "%kfwd help", "%kfwd up --help", "%portforward -h", "%portforward --help"]
)
def test_help_can_be_asked_for_as_in_a_terminal(kernel: Any, line: str) -> None:
    (payload,) = kernel.ok(line).reply["content"]["payload"]
    (expected,) = kernel.ok(f"{line.split(maxsplit=1)[0]}?").reply["content"]["payload"]
    assert payload["data"]["text/plain"] == expected["data"]["text/plain"]


def test_stop_says_what_is_left_and_what_there_is(kernel: Any) -> None:
    kernel.ok("a = %portforward web :80 --name a\nb = %portforward web :81 --name b")
    a, b = local_ports(kernel, "a", "b")
    run = kernel.run("%portforward --stop")
    assert run.lines == [
        "--stop needs a name, a target, a local port, or all.",
        f"hint: running: a (pod/web 127.0.0.1:{a} -> 80), b (pod/web 127.0.0.1:{b} -> 81).",
    ]
    assert "lead" not in kernel.ok("%portforward --stop a").text
    kernel.ok("%portforward web :80 --name web")
    said = kernel.ok("%portforward --stop web").text
    assert "stopped: web (1 other leads to pod/web: b)" in said


def test_the_only_one_is_stopped_without_its_name(kernel: Any) -> None:
    assert "nothing to stop" in kernel.ok("%portforward --stop").text
    kernel.ok("fwd = %portforward web :80")
    assert "stopped: pod/web" in kernel.ok("%portforward --stop").text
    assert kernel.ok("print(fwd.state)").printed == "stopped\n"


def test_loading_is_silent_and_imports_nothing_that_can_wait(
    new_kernel: Callable[..., Any],
) -> None:
    kernel = new_kernel()
    run = kernel.ok("%load_ext kfwd_nb")
    assert run.displays == []
    assert run.printed == ""
    kernel.restart()
    kernel.ok("import sys\n%load_ext kfwd_nb")
    heavy = ("cryptography", "pyroute2", "jinja2", "ipywidgets")
    assert kernel.ok(f"print([each for each in {heavy} if each in sys.modules])").printed == "[]\n"


def test_unloading_takes_everything_back(new_kernel: Callable[..., Any]) -> None:
    kernel = new_kernel()
    ip = "get_ipython()"
    state = (
        f"[len({ip}.ast_transformers), len({ip}.input_transformers_cleanup), "
        f"len({ip}.Completer.custom_matchers), "
        f"[m for m in {ip}.magics_manager.lsmagic()['line'] if m in ('kfwd', 'portforward')], "
        f"sum(map(len, {ip}.events.callbacks.values()))]"
    )
    before = kernel.ok(f"print({state})").printed
    kernel.ok("%load_ext kfwd_nb")
    assert kernel.ok(f"print({state})").printed != before
    kernel.ok("%unload_ext kfwd_nb")
    assert kernel.ok(f"print({state})").printed == before
    kernel.ok("%load_ext kfwd_nb\n%reload_ext kfwd_nb")
    assert kernel.run("%kfwd").lines[0] == "%kfwd needs a command."


def test_reloading_keeps_forwards_and_unloading_stops_them(kernel: Any) -> None:
    kernel.ok("web = %portforward web :80")
    kernel.ok("%reload_ext kfwd_nb")
    assert kernel.ok("print(web.state)").printed == "listening\n"
    kernel.ok("%unload_ext kfwd_nb")
    assert kernel.ok("print(web.state)").printed == "stopped\n"
    kernel.ok("%load_ext kfwd_nb")
