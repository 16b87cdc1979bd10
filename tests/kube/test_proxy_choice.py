"""Which proxy is taken: Go's rules."""

from __future__ import annotations

import pytest

from kfwd_nb.kube.kubeconfig.proxy_choice import proxy_for

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("host", "spared", "through"),
    [
        ("api.example.com", "", True),
        ("localhost", "", False),
        ("127.0.0.7", "", False),
        ("::1", "", False),
        ("api.example.com", "*", False),
        ("api.example.com", "example.com", False),
        ("example.com", "example.com", False),
        ("badexample.com", "example.com", True),
        ("api.example.com", ".example.com", False),
        ("example.com", ".example.com", True),
        ("api.example.com", "*.example.com", False),
        ("API.example.com", " api.EXAMPLE.com ,x", False),
        ("api.example.com", "example.com:6443", False),
        ("api.example.com", "example.com:443", True),
        ("10.1.2.3", "10.0.0.0/8", False),
        ("11.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("fd00::1", "fd00::/8", False),
        ("10.1.2.3", "nonsense/8,", True),
    ],
)
def test_no_proxy(host, spared, through):
    environ = {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": spared}
    assert (proxy_for(True, host, 6443, environ) is not None) is through


def test_names_of_the_variables():
    assert proxy_for(True, "x", 443, {"https_proxy": "p:1"}) == "http://p:1"
    assert proxy_for(False, "x", 80, {"https_proxy": "p:1"}) is None
    assert proxy_for(False, "x", 80, {"HTTP_PROXY": "socks5://p:1"}) == "socks5://p:1"
