"""Clusters that the chain's tests share."""

from __future__ import annotations

import pytest

from kfwd_nb import MiniCluster

WEB = """
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: web
      command: [$(KFWD_PYTHON), -I, -S, $(KFWD_WORKLOADS)/web.py]
      ports:
        - containerPort: 80
        - containerPort: 7
"""


@pytest.fixture(scope="module")
def socat_cluster(tmp_path_factory):
    """One pod, and the classic connector: real nsenter and socat processes."""
    manifest = tmp_path_factory.mktemp("socat") / "web.yaml"
    manifest.write_text(WEB)
    with MiniCluster(manifest, nodes=1, connector="socat") as cluster:
        yield cluster
