"""What a person reads when a forward cannot start, and when its relay goes away."""

from __future__ import annotations

import socket
import threading

import pytest
from peers.plain import connect, echo
from peers.relay import TOKEN, a_pod, until, write_kubeconfig

from kfwd_nb.client import forward, forward_or_existing, forwards, restart
from kfwd_nb.client.dialing.dialer import GONE
from kfwd_nb.errors import (
    ConfigError,
    KfwdError,
    ListenError,
    LostError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from kfwd_nb.kube.kubeconfig import announce

pytestmark = pytest.mark.chain


# -- it cannot start ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "options", "what", "hint"),
    [
        ("wbe", {}, 'Pod "wbe" not found in namespace "default".', 'did you mean "web"?'),
        ("svc/appi", {}, 'Service "appi" not found', 'did you mean "api"?'),
        ("deploy/apis", {}, 'Deployment "apis" not found', 'did you mean "api"?'),
        ("api", {}, 'Pod "api" not found', "use svc/api."),
        ("web", {"namespace": "defualt"}, 'Namespace "defualt" not found.', '"default"'),
        ("web", {"namespace": "team-a"}, 'Pod "web" not found in namespace "team-a".', '"other"'),
    ],
)
def test_names_that_are_not_there(relay, kubeconfig, target, options, what, hint):
    with pytest.raises(NotFoundError) as caught:
        forward(target, ":7", **options)
    assert what in caught.value.what
    assert hint in (caught.value.hint or "")
    assert forwards() == []


@pytest.mark.parametrize(
    ("target", "port", "what", "hint"),
    [
        ("web", ":http", "does not have a named port 'http'", "it declares 7 (echo)."),
        ("svc/api", ":80", "does not have a service port 80", "its ports are 7 (echo)."),
    ],
)
def test_ports_that_are_not_there(relay, kubeconfig, target, port, what, hint):
    with pytest.raises(NotFoundError) as caught:
        forward(target, port)
    assert what in caught.value.what
    assert caught.value.hint == hint


@pytest.mark.parametrize("ports", [("70000",), ("abc:80",), (":0",), ("8080:80", "8080:81")])
def test_ports_that_cannot_be_meant_ask_no_cluster(relay, kubeconfig, ports):
    with pytest.raises(UsageError):
        forward("web", *ports)
    assert not relay.handler.connects


def test_a_wrong_token(relay, authority, tmp_path):
    path = write_kubeconfig(
        tmp_path / "wrong", f"https://127.0.0.1:{relay.port}", authority.ca, token="expired"
    )
    with pytest.raises(UnauthorizedError, match="the token is not known") as caught:
        forward("web", ":7", kubeconfig=path)
    assert caught.value.where == "relay"


def test_a_relay_that_is_not_there(relay, kubeconfig):
    relay.stop()
    with pytest.raises(UnavailableError, match=f"nobody answers at 127.0.0.1:{relay.port}") as e:
        forward("web", ":7")
    assert str(kubeconfig) in (e.value.hint or ""), "where the address comes from"
    assert e.value.where == "relay"


def test_a_certificate_that_is_not_the_relays(relay, tmp_path):
    from peers.authority import Authority

    folder = tmp_path / "stranger"
    folder.mkdir()
    path = write_kubeconfig(
        tmp_path / "config", f"https://127.0.0.1:{relay.port}", Authority(folder).ca
    )
    with pytest.raises(LostError, match="no TLS with"):
        forward("web", ":7", kubeconfig=path)


def test_a_dialect_that_the_server_does_not_speak(relay, kubeconfig):
    relay.handler.version = {"gitVersion": "v1.36.0"}
    with pytest.raises(UsageError, match="is no kfwd relay, and only those speak") as caught:
        forward("web", ":7", dialect="connect")
    assert "websocket or spdy" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "server",
    [
        "https://127.0.0.1:99999",
        "https://127.0.0.1:port",
        "https:///nowhere",
        "https://[::1",
        "https://" + "a" * 70 + ".example:443",
        "http://127.0.0.1:80",
        "127.0.0.1:443",
        "",
    ],
)
def test_a_server_that_cannot_be_meant_is_a_clear_error(authority, tmp_path, server):
    path = write_kubeconfig(tmp_path / "config", server, authority.ca)
    with pytest.raises(KfwdError):
        forward("web", ":7", kubeconfig=path)


def test_a_token_that_cannot_be_a_header_is_a_clear_error(relay, authority, tmp_path):
    path = write_kubeconfig(
        tmp_path / "config", f"https://127.0.0.1:{relay.port}", authority.ca, "two\nlines"
    )
    with pytest.raises(KfwdError):
        forward("web", ":7", kubeconfig=path)


def test_a_failed_start_leaves_nothing(relay, kubeconfig):
    """The second of two ports is taken: the first one is free again, and the tunnel is gone."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        first, second = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        with pytest.raises(ListenError, match=f"127.0.0.1:{second} is in use by this very process"):
            forward("web", f"{first}:7", f"{second}:7")
        socket.create_server(("127.0.0.1", first)).close()
    assert forwards() == []
    server = relay._server
    assert server is not None
    until(lambda: not server.connections)


def test_a_forward_that_cannot_replace_another_leaves_it(relay, kubeconfig):
    first = forward("web", ":7", name="mine")
    with connect(first.local_port) as sock:
        echo(sock, b"x")
        with pytest.raises(NotFoundError):
            forward("nobody", ":7", name="mine")
        assert echo(sock, b"y") == b"y"
    assert forward("web", ":7", name="mine") is first


def test_a_forward_that_cannot_be_started_anew_is_left(relay, kubeconfig):
    old = forward("web", ":7")
    with connect(old.local_port) as sock:
        echo(sock, b"x")
        relay.do(relay.handler.remove, "web")
        with pytest.raises(NotFoundError):
            restart(old)
        assert echo(sock, b"y") == b"y"
    assert forwards() == [old]
    relay.do(relay.handler.add, a_pod("web"))
    new = restart(old)
    assert (old.state, new.local_port) == ("stopped", old.local_port)
    with connect(new.local_port) as sock:
        assert echo(sock, b"z") == b"z"


def test_what_happened_is_told(relay, kubeconfig):
    assert forward_or_existing("web", ":7", name="a")[1] == "started"
    assert forward_or_existing("web", ":7", name="a")[1] == "already"
    assert forward_or_existing("web", ":echo", name="a")[1] == "replaced"


# -- its relay goes away --------------------------------------------------------------------------


def test_a_relay_that_comes_back_under_an_idle_forward(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
        until(lambda: fwd.totals.open == 0)
        relay.stop()
        until(lambda: "the connection to the API server was lost" in fwd.reason)
        relay.start()
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"y") == b"y"
            until(lambda: fwd.reason == "")
        until(lambda: fwd.totals.open == 0)
        assert not [each for each in fwd.connections() if each.failed]


def test_a_relay_that_goes_under_open_connections(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
            relay.stop()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        (one,) = until(lambda: [each for each in fwd.connections() if each.closed])
        assert one.failed
        assert one.reason
        assert fwd.ready


def test_a_relay_that_is_gone_for_good_is_named_for_each_connection(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        relay.stop()
        for count in (1, 2):
            with connect(fwd.local_port) as sock, pytest.raises(ConnectionResetError):
                sock.recv(1)
            until(lambda count=count: fwd.totals.failed == count)
            assert fwd.connections()[-1].reason.startswith(
                f"nobody answers at 127.0.0.1:{relay.port}"
            )
        relay.start()
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"


def test_an_embedded_cluster_that_is_gone_is_named_with_its_cure(relay, kubeconfig):
    announce(kubeconfig)
    with forward("web", ":7") as fwd:
        relay.stop()
        until(lambda: fwd.reason == GONE)
        with connect(fwd.local_port) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        until(lambda: fwd.totals.failed == 1)
        assert fwd.connections()[-1].reason == GONE
        assert [each.text for each in fwd.log() if each.kind == "trouble"][-1] == GONE


def test_many_connections_at_once_share_one_new_tunnel(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        relay.stop()
        relay.start()
        socks = [connect(fwd.local_port) for _ in range(20)]
        for sock in socks:
            assert echo(sock, b"x") == b"x"
        assert len(relay._server.connections) == 1
        for sock in socks:
            sock.close()


def test_a_relay_that_goes_while_a_connection_is_dialed(relay, kubeconfig):
    with forward("web", ":82") as fwd, connect(fwd.local_port) as sock:
        until(lambda: relay.handler.connects)
        stopping = threading.Thread(target=relay.stop)
        stopping.start()
        stopping.join()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert fwd.ready


def test_the_token_never_shows(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        assert TOKEN not in repr(fwd)
        assert TOKEN not in repr(vars(fwd).get("parameters"))


def test_no_cluster_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ConfigError, match="no cluster found; looked at") as caught:
        forward("web", ":7")
    assert "%kfwd up" in (caught.value.hint or "")
