"""A cluster's options: from the command line to the supervisor and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from kfwd_nb.cluster.options import MAX_NODES, Options, add_arguments, from_arguments
from kfwd_nb.errors import UsageError

pytestmark = pytest.mark.pure


def read(words: list[str]) -> Options:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_arguments(parser.parse_args(words))


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(Path("/tmp/a file.yaml"), 5, "userns", "socat", Path("/tmp/kube config")),
        Options(isolation="loopback"),
    ],
)
def test_the_supervisor_reads_what_the_owner_was_given(options: Options) -> None:
    assert read(options.arguments()) == options


def test_relative_paths_are_the_owners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(Options(Path("pods.yaml")).arguments()).file == tmp_path / "pods.yaml"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"nodes": 0}, "--nodes 0"),
        ({"nodes": MAX_NODES + 1}, f"1 to {MAX_NODES} nodes"),
        ({"isolation": "none"}, "--isolation none"),
        ({"connector": "loopback"}, "--connector loopback"),
        ({"isolation": "loopback", "connector": "socat"}, "no namespace to enter"),
    ],
)
def test_what_cannot_be_is_refused_by_its_option(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options(**given)
