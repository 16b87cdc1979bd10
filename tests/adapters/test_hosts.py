"""Host names of pods and services, and libraries that are not there."""

from __future__ import annotations

import sys

import pytest

from kfwd_nb import adapters
from kfwd_nb.adapters import targets as module
from kfwd_nb.adapters.targets import Targets, parse_host
from kfwd_nb.errors import ConfigError, LimitError, UsageError

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("host", "target", "namespace"),
    [
        ("web.default.pod", "pod/web", "default"),
        ("web.default.pod.", "pod/web", "default"),
        ("web.v2.team-a.pod", "pod/web.v2", "team-a"),
        ("api.default.svc", "svc/api", "default"),
        ("api.default.svc.cluster.local", "svc/api", "default"),
        ("api.default.deploy", "deploy/api", "default"),
    ],
)
def test_names(host, target, namespace):
    found = parse_host(host)
    assert (str(found[0]), found[1]) == (target, namespace)


@pytest.mark.parametrize(
    "host", ["", "web", "web.pod", ".default.pod", "web..pod", "example.org", "a.b.c", "127.0.0.1"]
)
def test_names_of_something_else(host):
    with pytest.raises(UsageError, match="is no name of a pod or a service") as caught:
        parse_host(host)
    assert "web.default.pod" in (caught.value.hint or "")


def test_targets_are_limited(monkeypatch):
    monkeypatch.setattr(module, "MAX_TARGETS", 0)
    with pytest.raises(LimitError, match="0 targets"):
        Targets({}).connect("web.default.pod", 80, None)


@pytest.mark.parametrize(
    ("name", "home", "library"),
    [
        ("PodTransport", "httpx_sync", "httpx"),
        ("AsyncPodTransport", "httpx_async", "httpx"),
        ("PodAdapter", "requests_adapter", "requests"),
    ],
)
def test_a_library_that_is_not_installed(monkeypatch, name, home, library):
    for each in ("httpx_sync", "httpx_async", "requests_adapter"):
        monkeypatch.delitem(sys.modules, f"kfwd_nb.adapters.{each}", raising=False)
        monkeypatch.delattr(adapters, each, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=f"{name} is for {library}") as caught:
        getattr(adapters, name)
    assert caught.value.hint == f"pip install {library}"


def test_a_name_that_there_is_not():
    with pytest.raises(AttributeError, match="no attribute 'Pod'"):
        _ = adapters.Pod
