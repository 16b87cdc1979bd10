"""A gibibyte each way, equal to the bit, and the reply that comes after EOF; both connectors."""

from __future__ import annotations

import pytest
from peers.plain import connect, download, echo, get_json, read_all, upload_until_eof

from kfwd_nb import forward

pytestmark = pytest.mark.chain

GIB = 1 << 30


@pytest.fixture(params=["netns", "socat"])
def chain(request, cluster, socat_cluster):
    return cluster if request.param == "netns" else socat_cluster


def test_a_gibibyte_comes_down_whole(chain):
    with forward("web", ":80", kubeconfig=chain.kubeconfig, name="down") as fwd:
        sha256, length = download(fwd.local_port, GIB)
        there = get_json(fwd.local_port, f"/hash/{GIB}")
    assert (sha256, length) == (there["sha256"], there["length"])


def test_a_gibibyte_goes_up_whole_and_the_reply_after_eof_arrives(chain):
    with forward("web", ":80", kubeconfig=chain.kubeconfig, name="up") as fwd:
        sha256, there = upload_until_eof(fwd.local_port, GIB)
    assert there == {"sha256": sha256, "length": GIB}


def test_the_echo_of_a_half_closed_connection_arrives(chain):
    with forward("web", ":7", kubeconfig=chain.kubeconfig, name="half") as fwd:
        with connect(fwd.local_port) as sock:
            sock.sendall(b"last words")
            sock.shutdown(1)
            assert read_all(sock) == b"last words"


def test_the_table_counts_what_the_pod_counted(chain):
    with forward("web", ":7", ":80", kubeconfig=chain.kubeconfig, name="count") as fwd:
        before = get_json(fwd.ports[1].local, "/stats")["echo"]
        with connect(fwd.ports[0].local) as sock:
            assert echo(sock, b"x" * 100_000) == b"x" * 100_000
            row = next(each for each in fwd.connections() if each.remote == 7)
            after = get_json(fwd.ports[1].local, "/stats")["echo"]
    assert row.bytes_out == row.bytes_in == after["in"] - before["in"] == 100_000
