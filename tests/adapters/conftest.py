"""What the three libraries are tested against: the default cluster, and a pod that speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.authority import Authority

from kfwd_nb import MiniCluster, forwards

PROGRAM = """
import http.server, os, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"behind TLS"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(os.environ.get("KFWD_PORT_443", "443"))
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""

MANIFEST = """
apiVersion: v1
kind: Pod
metadata:
  name: tls
spec:
  containers:
    - name: tls
      command: [$(KFWD_PYTHON), -I, -S, {program}, {certificate}, {key}]
      ports:
        - containerPort: 443
"""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tls_cluster(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[MiniCluster]:
    folder: Path = tmp_path_factory.mktemp("tls")
    (folder / "program.py").write_text(PROGRAM)
    certificate, key, *_ = authority.issue("tls.default.pod")
    manifest = folder / "tls.yaml"
    manifest.write_text(
        MANIFEST.format(program=folder / "program.py", certificate=certificate, key=key)
    )
    with MiniCluster(manifest, nodes=1) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert forwards() == [], "a transport that is closed has stopped its forwards"
