"""Certificates: judged by the TLS library that will use them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kfwd_nb.cluster.pki import Authority, Credential
from kfwd_nb.transport.http import Identity, identity_of
from kfwd_nb.transport.tls import client_context, server_context

pytestmark = pytest.mark.pure


class Files:
    """An authority and its credentials, written where `ssl` can read them."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(authority.certificate)

    def write(self, name: str, credential: Credential) -> tuple[Path, Path]:
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        cert.write_bytes(credential.certificate)
        key.write_bytes(credential.key)
        return cert, key


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str
) -> tuple[Identity | None, str | None]:
    """Both ends in memory; returns whom the server sees, and the protocol agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    done = {here: False, there: False}
    while not all(done.values()):
        for end in done:
            try:
                end.do_handshake()
                done[end] = True
            except ssl.SSLWantReadError:
                pass
    return identity_of(there.getpeercert()), there.selected_alpn_protocol()


@pytest.fixture
def authority() -> Authority:
    return Authority("kfwd test")


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    return Files(tmp_path, authority)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_relay_is_trusted_on_the_loopback(files: Files, authority: Authority, name: str) -> None:
    server = server_context(*files.write("relay", authority.relay()))
    assert handshake(server, client_context(files.ca), name) == (None, "h2")


def test_relay_is_not_trusted_under_another_name(files: Files, authority: Authority) -> None:
    server = server_context(*files.write("relay", authority.relay()))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(server, client_context(files.ca), "example.org")


def test_agent_and_relay_know_each_other(files: Files, authority: Authority) -> None:
    agent = files.write("node-1", authority.node("node-1"))
    relay = files.write("relay", authority.relay())

    server = server_context(*agent, clients=files.ca, require=True)
    client = client_context(files.ca, cert=relay[0], key=relay[1])
    assert handshake(server, client, "node-1")[0] == Identity("kfwd-relay", ("kfwd:relay",))

    server = server_context(*relay, clients=files.ca)
    client = client_context(files.ca, cert=agent[0], key=agent[1])
    seen = handshake(server, client, "127.0.0.1")[0]
    assert seen == Identity("system:node:node-1", ("system:nodes",))


def test_another_clusters_certificate_is_refused(files: Files, authority: Authority) -> None:
    stranger = files.write("stranger", Authority("kfwd other").relay())
    server = server_context(
        *files.write("node-1", authority.node("node-1")), clients=files.ca, require=True
    )
    client = client_context(files.ca, cert=stranger[0], key=stranger[1])
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(server, client, "node-1")
