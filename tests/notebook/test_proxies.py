"""A proxy variable that would catch a forward's local port."""

from __future__ import annotations

from typing import Any
from urllib.request import getproxies_environment, proxy_bypass_environment

import pytest

from kfwd_nb.notebook.proxies import proxy_warning

PROXY = "http://me:secret@proxy:3128"

CASES: list[tuple[dict[str, str], str, str]] = [
    ({}, "", ""),
    ({"NO_PROXY": "corp"}, "", ""),
    ({"HTTP_PROXY": PROXY}, "HTTP_PROXY", "%env NO_PROXY=127.0.0.1,localhost"),
    ({"http_proxy": PROXY}, "http_proxy", "%env NO_PROXY=127.0.0.1,localhost"),
    ({"HTTP_PROXY": PROXY, "http_proxy": ""}, "", ""),
    ({"ALL_PROXY": PROXY}, "ALL_PROXY", "%env NO_PROXY=127.0.0.1,localhost"),
    ({"HTTPS_PROXY": PROXY}, "HTTPS_PROXY", "%env NO_PROXY=127.0.0.1,localhost"),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "127.0.0.1"}, "", ""),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "corp, 127.0.0.1 "}, "", ""),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "*"}, "", ""),
    (
        {"HTTP_PROXY": PROXY, "NO_PROXY": ".corp,localhost"},
        "HTTP_PROXY",
        "%env NO_PROXY=.corp,localhost,127.0.0.1",
    ),
    ({"HTTP_PROXY": PROXY, "no_proxy": "c,"}, "HTTP_PROXY", "%env no_proxy=c,127.0.0.1,localhost"),
    (
        {"HTTP_PROXY": PROXY, "NO_PROXY": "127.0.0.1", "no_proxy": ""},
        "HTTP_PROXY",
        "%env no_proxy=127.0.0.1,localhost",
    ),
]


@pytest.mark.pure
@pytest.mark.parametrize(("environ", "variable", "cure"), CASES)
def test_the_variable_and_the_cure_are_named(
    environ: dict[str, str], variable: str, cure: str
) -> None:
    warning = proxy_warning(environ)
    expected = f"warning: {variable} sends requests for 127.0.0.1 to a proxy; `{cure}` spares it"
    assert warning == (expected if variable else "")
    assert "secret" not in warning


@pytest.mark.pure
@pytest.mark.parametrize(("environ", "variable", "cure"), CASES)
def test_python_itself_sees_it_so(
    environ: dict[str, str], variable: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    proxies = getproxies_environment()
    caught = bool(proxies.keys() - {"no"})
    assert (caught and not proxy_bypass_environment("127.0.0.1")) == bool(variable)
    if cure:
        name, _, value = cure.removeprefix("%env ").partition("=")
        monkeypatch.setenv(name, value)
        assert proxy_bypass_environment("127.0.0.1"), "the line to copy helps"
        assert proxy_bypass_environment("localhost")


@pytest.mark.notebook
def test_it_is_the_first_line_of_a_forward(fake_kernel: Any) -> None:
    kernel = fake_kernel
    kernel.ok("%env HTTP_PROXY=http://proxy:3128\n%env NO_PROXY=corp")
    try:
        for cell in ("%portforward web :80", "%%portforward db :80\npass"):
            bundle = kernel.ok(cell).bundles[0]
            assert bundle["text/plain"].startswith("warning: HTTP_PROXY sends requests for 127")
            assert "%env NO_PROXY=corp,127.0.0.1,localhost" in bundle["text/html"]
        first, second = kernel.ok("%portforward web :80").text.splitlines()[:2]
        assert (first, second[:8]) == ("already forwarding", "warning:")
        kernel.ok("%env NO_PROXY=corp,127.0.0.1,localhost")
        assert "HTTP_PROXY" not in kernel.ok("%portforward web :80").text
    finally:
        kernel.ok("import os; del os.environ['HTTP_PROXY'], os.environ['NO_PROXY']")
        kernel.ok("%portforward --stop all")
