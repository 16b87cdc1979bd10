"""The dashboard in JupyterLab, as a person uses it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from peers import churn as churn_script

pytestmark = pytest.mark.browser

LOAD = "%load_ext kfwd_nb\nimport kfwd_nb"
SHOW = "kfwd_nb.Dashboard()"


@pytest.fixture
def shown(lab, cluster):
    """Opens a notebook with a dashboard over the session's cluster, and one more cell to run."""
    opened = []

    def show(cell: str = "pass"):
        setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
        notebook = lab.open(setup, SHOW, cell, height=1400)
        opened.append(notebook)
        for number in (0, 1):
            notebook.run(number)
            notebook.ran(number)
        notebook.board = notebook.page.locator(".kfwd-dashboard")
        notebook.board.wait_for()
        return notebook

    yield show
    for notebook in opened:
        notebook.shut_down()
        notebook.page.context.close()


def offered(lab, field: str) -> list[str]:
    selector = f".kfwd-dashboard label.{field} datalist option"
    lab.page.wait_for_selector(selector, state="attached")
    return lab.page.eval_on_selector_all(selector, "all => all.map(each => each.value)")


def start(lab, target: str, port: str) -> None:
    lab.board.locator("input[name=target]").fill(target)
    lab.board.locator("input[name=port]").fill(port)
    lab.board.locator("button.primary").click()


def address(lab) -> str:
    return f"http://{lab.board.locator('.address a').first.inner_text()}/"


def test_a_forward_is_chosen_started_used_stopped_and_started_again_with_the_mouse(shown):
    lab = shown()
    assert {"svc/api", "deploy/api", "web", "db"} <= set(offered(lab, "target"))
    lab.board.locator("input[name=target]").fill("svc/api")
    lab.board.locator("input[name=target]").press("Tab")
    assert offered(lab, "port") == ["80"]
    lab.page.wait_for_function("document.querySelector('label.port input').value === '80'")
    lab.board.locator("button.primary").click()
    lab.board.locator(".state.listening").wait_for()
    where = address(lab)
    for _ in range(3):
        assert urllib.request.urlopen(where).read()
    rows = lab.board.locator(".connections tbody tr")
    rows.nth(2).wait_for()
    lab.board.locator("td.actions button", has_text="Stop").click()
    lab.board.locator(".state.stopped").wait_for()
    with pytest.raises(OSError):
        urllib.request.urlopen(where)
    lab.board.locator("td.actions button", has_text="Restart").click()
    lab.board.locator(".state.listening").wait_for()
    assert address(lab) == where, "a bookmark survives"
    assert urllib.request.urlopen(where).read()
    assert "listens" in lab.board.locator("[role=log]").inner_text()
    assert lab.errors == []


def test_enter_in_a_field_starts_a_forward_once(shown):
    lab = shown()
    lab.board.locator("input[name=target]").fill("web")
    lab.board.locator("input[name=port]").fill("80")
    lab.board.locator("input[name=port]").press("Enter")
    lab.board.locator(".state.listening").wait_for()
    lab.board.locator("button.primary", has_text="Forward").wait_for()
    assert "already" not in lab.board.locator(".status").first.inner_text()
    assert lab.board.locator(".forwards tbody tr").count() == 1
    assert lab.errors == []


def test_what_ran_before_is_there_and_its_events_too(lab, cluster):
    setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
    notebook = lab.open(setup, "fwd = kfwd_nb.forward('db', ':5432')", "%portforward --dashboard")
    for number in range(3):
        notebook.run(number)
        notebook.ran(number)
    board = notebook.page.locator(".kfwd-dashboard").first  # JupyterLab may draw it twice at first
    board.locator(".state.listening").wait_for()
    board.locator("[role=log]", has_text="dialect connect").wait_for()
    board.locator("[role=log]", has_text="listens").wait_for()
    assert board.locator(".address").inner_text().startswith("localhost:")
    assert board.locator(".address a").count() == 0, "no browser speaks what it speaks"
    notebook.shut_down()
    notebook.page.context.close()


def test_a_mistake_is_said_in_the_clusters_words(shown):
    lab = shown()
    start(lab, "nosuch", "80")
    lab.board.locator(".status.bad:not(:empty)").wait_for()
    said = lab.board.locator(".status").inner_text()
    assert 'Pod "nosuch" not found' in said
    start(lab, "web", "")
    lab.page.wait_for_function(
        "document.querySelector('.kfwd-dashboard .status').textContent.includes('choose a port')"
    )
    assert lab.errors == []


def test_a_click_acts_while_a_cell_blocks_and_in_a_page_that_is_loaded_again_too(shown):
    """Comm messages go by a subshell (JEP 91): JupyterLab opens one for widgets, in each page."""
    lab = shown(
        "from pathlib import Path\nimport time\nwhile not Path('go').exists(): time.sleep(0.05)"
    )
    go = lab.lab.server.root / "go"
    start(lab, "web", "80")
    lab.board.locator(".state.listening").wait_for()
    lab.save()
    for what, state in (("Stop", "stopped"), ("Restart", "listening")):
        lab.run(2)
        lab.runs(2)
        lab.board.locator("td.actions button", has_text=what).click()
        lab.board.locator(f".state.{state}").wait_for()
        lab.runs(2)  # still
        go.touch()
        lab.ran(2)
        go.unlink()
        lab.load()
        lab.board.locator(f".state.{state}").wait_for()


def test_rows_are_searched_and_sorted(shown):
    lab = shown()
    start(lab, "web", "80")
    lab.board.locator(".state.listening").wait_for()
    for size in (10, 3000, 500):
        urllib.request.urlopen(address(lab) + f"bytes/{size}").read()
    rows = lab.board.locator(".connections tbody tr")
    rows.nth(2).wait_for()
    head = lab.board.locator(".connections th", has_text="In")
    head.locator("button").click()
    lab.page.wait_for_selector(".connections th[aria-sort=descending] >> text=In")
    lab.page.wait_for_function(
        "document.querySelector('.connections tbody tr').textContent.includes('web #2')"
    )
    head.locator("button").click()
    lab.page.wait_for_function(
        "document.querySelector('.connections tbody tr').textContent.includes('web #1')"
    )
    lab.board.locator("input[type=search]").fill("nothing like it")
    lab.page.wait_for_selector("text=No connection fits.")
    lab.board.locator("input[type=search]").fill("web")
    rows.nth(2).wait_for()


def test_what_was_saved_shows_the_last_state_when_the_kernel_is_gone(shown):
    lab = shown()
    start(lab, "web", "80")
    lab.board.locator(".state.listening").wait_for()
    where = address(lab)
    urllib.request.urlopen(where).read()
    port = where.rstrip("/").rpartition(":")[2]
    still = lab.page.locator("[data-kfwd-still]")
    lab.page.wait_for_function(
        "document.querySelector('[data-kfwd-still]').textContent.includes('1 in all')"
    )
    assert not still.is_visible(), "the widget stands for it"
    lab.save()
    lab.shut_down()
    lab.load()
    still.wait_for()
    assert f"localhost:{port}" in still.inner_text()
    assert "1 in all" in still.inner_text()


def test_a_button_stays_in_its_place_while_bytes_flow(shown):
    lab = shown(
        "import threading, urllib.request\n"
        "fwd = kfwd_nb.forward('web', ':80')\n"
        "def read():\n"
        "    while fwd.ready: urllib.request.urlopen(fwd.url(path='/bytes/100000')).read()\n"
        "threading.Thread(target=read, daemon=True).start()"
    )
    lab.run(2)
    lab.ran(2)
    button = lab.board.locator("td.actions button", has_text="Stop")
    button.wait_for()
    handle = button.element_handle()
    figure = lab.board.locator("[data-figure=in]")
    before = figure.inner_text()
    lab.page.wait_for_function(
        "before => document.querySelector('[data-figure=in]').textContent !== before", arg=before
    )
    assert handle.evaluate("element => element.isConnected")
    button.click(delay=400)  # longer than two updates are apart
    lab.board.locator(".state.stopped").wait_for()
    assert lab.errors == []


PARTS = """
import ipywidgets, traitlets
web = kfwd_nb.forward("web", ":80")
db = kfwd_nb.forward("db", ":5432")
forwards, events = kfwd_nb.Dashboard(["forwards"]), kfwd_nb.Dashboard(["events"])
for each in (forwards, events):
    each.layout.flex, each.layout.min_width = "1 1 0%", "0"
ipywidgets.HBox([forwards, events])
"""


def test_parts_in_two_widgets_agree_on_the_chosen_forward(lab, cluster):
    setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
    link = 'link = traitlets.link((forwards, "chosen"), (events, "chosen"))'
    notebook = lab.open(setup, PARTS, link, 'events.chosen = "db"', "print(forwards.chosen)")
    page = notebook.page
    for number in (0, 1):
        notebook.run(number)
        notebook.ran(number)
    forwards = page.locator(".kfwd-dashboard", has=page.locator(".forwards"))
    events = page.locator(".kfwd-dashboard", has=page.locator("[role=log]"))
    pick = forwards.locator("button[data-what=pick]")
    of_db = events.locator("li", has=page.locator(".who", has_text="db"))
    of_web = events.locator("li", has=page.locator(".who", has_text="web"))
    of_web.first.wait_for()
    pick.filter(has_text="web").click()
    forwards.locator("tr.chosen", has_text="web").wait_for()
    of_db.first.wait_for()  # nobody has linked them
    notebook.run(2)
    notebook.ran(2)
    of_db.first.wait_for(state="detached")
    of_web.first.wait_for()
    notebook.run(3)  # the other way round, by the kernel
    notebook.ran(3)
    forwards.locator("tr.chosen", has_text="db").wait_for()
    of_web.first.wait_for(state="detached")
    of_db.first.wait_for()
    pick.filter(has_text="db").click()  # a second click: all of them
    of_web.first.wait_for()
    pick.filter(has_text="web").click()
    of_db.first.wait_for(state="detached")
    notebook.run(4)
    page.locator(".jp-OutputArea-output", has_text="web").last.wait_for()
    box = forwards.bounding_box()
    for button in forwards.locator("td.actions button").all():
        inside = button.bounding_box()
        assert inside["x"] + inside["width"] <= box["x"] + box["width"], "it is in sight"
    assert notebook.errors == []
    notebook.shut_down()
    page.context.close()


LOSSY = """
lossy = kfwd_nb.Dashboard()
send, lost = lossy.send, set()

def drop(content, buffers=None):
    about = content["kind"], content.get("asker", content.get("serial"))
    if about in lost or content["kind"] == "said":
        send(content, buffers)
    elif content["kind"] == "changed":
        return  # as the server does it, above its iopub_msg_rate_limit
    lost.add(about)

lossy.send = drop
lossy
"""


def test_messages_that_are_lost_are_asked_for_again(lab, cluster):
    setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
    notebook = lab.open(setup, LOSSY, height=1400)
    for number in (0, 1):
        notebook.run(number)
        notebook.ran(number)
    notebook.board = notebook.page.locator(".kfwd-dashboard")
    assert "web" in offered(notebook, "target")
    start(notebook, "web", "80")
    notebook.board.locator("button.primary[aria-busy=false]").wait_for()
    notebook.board.locator(".state.listening").wait_for()
    assert notebook.board.locator("tbody tr .state").count() == 1, "it was started once"
    assert notebook.errors == []
    notebook.shut_down()
    notebook.page.context.close()


STALLED = """
import socket, time
fwd = kfwd_nb.forwards()[0]
reader = socket.create_connection(("127.0.0.1", fwd.local_port))
reader.sendall(b"GET /bytes/5000000 HTTP/1.1\\r\\nHost: pod\\r\\n\\r\\n")
while not fwd.hops().stands: time.sleep(0.1)
"""


def test_the_way_shows_who_does_not_read(shown):
    """The hops are asked only while somebody looks, from a cell that blocks, too."""
    lab = shown(STALLED)
    start(lab, "web", "80")
    lab.board.locator(".state.listening").wait_for()
    lab.board.locator("td button.link", has_text="web").click()
    lab.board.locator("details.way summary").click()
    way = lab.board.locator("details.way")
    way.locator("svg text", has_text="node agent").wait_for()
    lab.run(2)
    way.locator("p", has_text="the local program does not read").wait_for()
    lab.picture("dashboard-way")
    lab.board.locator("td.actions button", has_text="Stop").click()
    way.locator("p", has_text="the forward is stopped").wait_for()
    assert lab.errors == []


def test_the_way_in_a_cell_follows_a_reader(lab, cluster):
    """`%portforward --hops`: what stands still, and that it moves again."""
    setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
    notebook = lab.open(
        setup,
        "fwd = kfwd_nb.forward('web', ':80')",
        STALLED,
        "%portforward --hops web",
        "while reader.recv(1 << 20): \n    if not any(fwd.hops().flows[0].down): break",
    )
    for number in range(4):
        notebook.run(number)
        notebook.ran(number)
    way = notebook.page.locator(".kfwd.hops")
    way.locator("p", has_text="stands still").wait_for()
    notebook.run(4)
    notebook.ran(4)
    way.locator("p", has_text="stands still").wait_for(state="detached")
    notebook.run(1)  # the same forward: nothing breaks
    notebook.ran(1)
    assert notebook.errors == []
    notebook.shut_down()
    notebook.page.context.close()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_text_of_it_can_be_read(lab, shown, theme):
    lab.set({"themes": {"theme": theme}})
    lab = shown(STALLED)
    start(lab, "web", "80")
    lab.board.locator(".state.listening").wait_for()
    start(lab, "db", "9")
    urllib.request.urlopen(address(lab)).read()
    lab.run(2)
    lab.ran(2)
    lab.board.locator("details.way summary").click()
    lab.board.locator("details.way p", has_text="does not read").wait_for()
    lab.board.scroll_into_view_if_needed()
    lab.picture(f"dashboard-{theme.split()[-1].lower()}")
    texts = lab.texts()
    assert len(texts) > 50
    assert [each for each in texts if each[0] < 4.5] == []


def test_clicks_are_answered_while_a_thousand_connections_come_and_go(shown):
    lab = shown("%portforward")
    start(lab, "web", "7")
    lab.board.locator(".state.listening").wait_for()
    lab.run(2)
    lab.ran(2)
    port = address(lab).rpartition(":")[2].strip("/")
    churn = subprocess.Popen(
        [sys.executable, churn_script.__file__, port, "1000", "100"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert churn.stdout is not None
        assert churn.stdout.readline() == "ready\n"
        lab.board.locator("td", has_text="1000 open").wait_for()
        lab.board.locator(".connections select").select_option("closed")
        lab.board.locator(".connections tbody .state.closed").first.wait_for()
        assert lab.board.locator(".connections tbody .state.open").count() == 0
        lab.board.locator(".connections th button", has_text="In").click()
        lab.page.locator(".connections th[aria-sort=descending]", has_text="In").wait_for()
        lab.board.locator("td.actions button", has_text="Stop").click()
        lab.board.locator(".state.stopped").wait_for()
    finally:
        churn.kill()
        churn.wait()
        churn.stdout.close()
    assert lab.errors == []


MANY = """
import contextlib, ipywidgets, urllib.request
web, db = kfwd_nb.forward("web", ":80"), kfwd_nb.forward("db", ":9")
for _ in range(12):
    urllib.request.urlopen(web.url(path="/bytes/1000")).read()
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://localhost:{db.local_port}")
few = kfwd_nb.Dashboard([["throughput", "events"], "connections"])
narrow = ipywidgets.HBox([kfwd_nb.Dashboard(["connections"])], layout={"width": "500px"})
display(narrow, few)
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_reasons_are_read_where_there_is_little_room(lab, cluster, theme):
    lab.set({"themes": {"theme": theme}})
    setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
    notebook = lab.open(setup, MANY, height=1500)
    for number in (0, 1):
        notebook.run(number)
        notebook.ran(number)
    boards = notebook.page.locator(".kfwd-dashboard .connections")
    for board in boards.all():
        board.locator("tbody tr").nth(23).wait_for()
        scroll = board.locator(".scroll")
        assert scroll.evaluate("it => it.scrollWidth <= it.clientWidth"), "no column is cut"
        assert scroll.evaluate("it => it.scrollHeight > it.clientHeight")
        board.locator("td.reason", has_text="refused").first.wait_for()
        numbers = board.locator("td.forward").all_inner_texts()
        assert sorted(numbers) == sorted(f"{n} #{i}" for n in ("web", "db") for i in range(1, 13))
        latest = [int(each.rpartition("#")[2]) for each in numbers]
        assert latest == sorted(latest, reverse=True), "by the time that stands before them"
    notebook.picture(f"dashboard-narrow-{theme.split()[-1].lower()}")
    assert [each for each in notebook.texts() if each[0] < 4.5] == []
    last = boards.first.locator("tbody tr").last
    boards.first.locator(".scroll").press("End")
    notebook.page.wait_for_function(
        "it => it.getBoundingClientRect().bottom"
        " <= it.closest('.scroll').getBoundingClientRect().bottom + 1",
        arg=last.element_handle(),
    )
    plot, log = (
        notebook.page.locator(f".row > .{name}").bounding_box() for name in ("plot", "log")
    )
    assert plot["y"] == log["y"]
    assert plot["x"] + plot["width"] <= log["x"]
    assert abs(plot["width"] - log["width"]) < 2
    assert notebook.errors == []
    notebook.save()
    notebook.shut_down()
    notebook.load()
    still = notebook.page.locator("[data-kfwd-still]", has_text="12 in all")
    still.wait_for()  # of the parts that stand in no box
    notebook.page.context.close()


# -- without its kernel ---------------------------------------------------------------------------

BOXED = """
import ipywidgets, os
web = kfwd_nb.forward("web", ":80")
box = ipywidgets.HBox([kfwd_nb.Dashboard(["forwards"]), kfwd_nb.Dashboard(["start"])])
print(os.getpid(), flush=True)
box
"""


@pytest.fixture
def boxed(lab, cluster):
    """A notebook with two dashboards in a box, which no plain form replaces at the kernel's end."""
    setup = f"{LOAD}\nimport os; os.environ['KUBECONFIG'] = {str(cluster.kubeconfig)!r}"
    notebook = lab.open(setup, BOXED)
    for number in (0, 1):
        notebook.run(number)
        notebook.ran(number)
    notebook.board = notebook.page.locator(
        ".kfwd-dashboard", has=notebook.page.locator(".forwards")
    )
    notebook.board.locator(".state.listening").wait_for()
    offered(notebook, "target")
    notebook.pid = int(notebook.page.locator(".jp-OutputArea-output pre").first.inner_text())
    yield notebook
    with contextlib.suppress(ProcessLookupError):
        os.kill(notebook.pid, signal.SIGCONT)
    notebook.shut_down()
    notebook.page.context.close()


def restart(notebook) -> None:
    notebook.page.locator('[data-command="notebook:restart-kernel"]').first.click()
    with notebook.page.expect_response("**/restart*"):
        notebook.page.locator(".jp-Dialog .jp-mod-accept").click()


def shut_down_by_menu(notebook) -> None:
    notebook.page.locator(".lm-MenuBar-item", has_text="Kernel").click()
    notebook.page.locator('.lm-Menu-item[data-command="kernelmenu:shutdown"]').click()


ENDS = {
    "restarted": restart,
    "shut down": shut_down_by_menu,
    "shut down elsewhere": lambda notebook: notebook.shut_down(),
    "killed": lambda notebook: os.kill(notebook.pid, signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_without_its_kernel_it_says_so_and_nothing_seems_to_live(boxed, end):
    end(boxed)
    said = boxed.page.locator(".kfwd-dashboard .status.bad", has_text="run the cell again.")
    said.nth(1).wait_for()
    # A kernel that ends by itself has still said that it stopped its forwards.
    boxed.board.locator(".state:is(.gone, .stopped)").wait_for()
    stopped = boxed.board.locator(".state.stopped").count()
    assert not (stopped and end is ENDS["killed"])
    assert boxed.board.locator("a, .state.listening").count() == 0
    asks = boxed.page.locator(".kfwd-dashboard :is(.actions button, .launch input, .primary)")
    assert asks.count() == 6 - stopped, "what is stopped has no button for that"
    assert all(each.is_disabled() for each in asks.all())
    disabled = boxed.page.locator('.kfwd-dashboard button[aria-disabled="true"]')
    assert disabled.count() == 3 - stopped
    assert boxed.errors == []


def test_a_kernel_that_does_not_answer_may_be_gone_and_is_alive_when_it_answers(boxed):
    os.kill(boxed.pid, signal.SIGSTOP)
    boxed.board.locator("button[data-what=stop]").click()
    boxed.board.locator(".status", has_text="a cell may be running").wait_for()
    boxed.board.locator(".status", has_text="or the kernel is gone").wait_for()
    assert boxed.board.locator(".state.listening").count() == 1
    os.kill(boxed.pid, signal.SIGCONT)
    boxed.board.locator(".state.stopped").wait_for()
    boxed.board.locator("button[data-what=restart]").click()
    boxed.board.locator(".state.listening").wait_for()
    assert boxed.errors == []


SOCKETS = """
const sockets = (window.sockets = []);
window.WebSocket = class extends WebSocket {
  constructor(...all) {
    super(...all);
    sockets.push(this);
  }
};
"""


def test_a_way_to_the_server_that_is_lost_for_a_while_breaks_nothing(boxed):
    boxed.page.add_init_script(SOCKETS)
    boxed.save()
    boxed.load()
    boxed.board.locator(".state.listening").wait_for()
    count = boxed.page.evaluate("sockets.forEach((each) => each.close()), sockets.length")
    boxed.board.locator("button[data-what=stop]").click()
    boxed.board.locator(".state.stopped").wait_for()
    assert boxed.page.evaluate("sockets.length") > count, "it came back by another one"
    boxed.board.locator("button[data-what=restart]").click()
    boxed.board.locator(".state.listening").wait_for()
    assert boxed.page.locator(".kfwd-dashboard .status.bad:not(:empty)").count() == 0
    assert boxed.errors == []
