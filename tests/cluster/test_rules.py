"""What the groups of an embedded cluster's rules may do, by acting as their members."""

from __future__ import annotations

import urllib.request

import pytest

from kfwd_nb import MiniCluster, forward
from kfwd_nb.errors import ForbiddenError

pytestmark = pytest.mark.chain

DIALECTS = ("connect", "websocket", "spdy")


def try_page(cluster: MiniCluster, group: str | None, dialect: str) -> bytes:
    groups = (group,) if group else ()
    with forward(
        "web",
        ":80",
        kubeconfig=cluster.kubeconfig,
        as_user="ann",
        as_groups=groups,
        dialect=dialect,
    ) as fwd:
        return urllib.request.urlopen(fwd.url(), timeout=20).read()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nobody(cluster: MiniCluster, dialect: str) -> None:
    with pytest.raises(ForbiddenError, match='User "ann" cannot get resource "pods"'):
        try_page(cluster, None, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_viewers_see_pods_and_are_told_at_once_that_they_may_not_forward(
    cluster: MiniCluster, dialect: str
) -> None:
    with pytest.raises(ForbiddenError, match=r"create.*pods/portforward") as error:
        try_page(cluster, "viewers", dialect)
    assert "ask for a role" in (error.value.hint or "")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_forwarders(cluster: MiniCluster, dialect: str) -> None:
    assert b"Hello" in try_page(cluster, "forwarders", dialect)


def test_a_role_from_before_websockets(cluster: MiniCluster) -> None:
    assert b"Hello" in try_page(cluster, "old-forwarders", "connect")
    assert b"Hello" in try_page(cluster, "old-forwarders", "spdy")
    with pytest.raises(ForbiddenError, match='"get" pods/portforward'):
        try_page(cluster, "old-forwarders", "websocket")
