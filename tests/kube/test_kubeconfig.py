"""Where the cluster is looked for, in which order, and what is said when it is not there."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig import ClusterAccess, announce, announced, finding, load

pytestmark = pytest.mark.pure


def sent(access: ClusterAccess) -> dict[str, str]:
    """The fields of the next request."""
    return asyncio.run(access.headers())


def document(name: str, **user: Any) -> dict[str, Any]:
    """A kubeconfig with one context called `name`, whose server is called so too."""
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"u-{name}"}}],
        "clusters": [{"name": f"c-{name}", "cluster": {"server": f"https://{name}:6443"}}],
        "users": [{"name": f"u-{name}", "user": user or {"token": f"t-{name}"}}],
    }


class Places:
    """Every place that is looked at, in a folder of the test's own, empty at first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.account = folder / "serviceaccount"
        monkeypatch.setattr(finding, "SERVICE_ACCOUNT", self.account)
        monkeypatch.setattr(finding, "_announced", None)
        monkeypatch.setenv("HOME", str(folder / "home"))
        for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
            monkeypatch.delenv(name, raising=False)

    def write(self, name: str, content: Any = None) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = document(path.name) if content is None else content
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    def fill(self, *places: str) -> None:
        for place in places:
            match place:
                case "embedded":
                    announce(self.write("embedded"))
                case "KUBECONFIG":
                    self.env(self.write("env"))
                case "home":
                    self.write("home/.kube/config", document("home"))
                case "service account":
                    self.account.mkdir()
                    (self.account / "token").write_text("t-account\n")
                    (self.account / "namespace").write_text("my-namespace\n")
                    (self.account / "ca.crt").write_text("a certificate")
                    self._monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
                    self._monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    def env(self, *paths: Path | str) -> None:
        self._monkeypatch.setenv("KUBECONFIG", ":".join(map(str, paths)))


@pytest.fixture
def places(tmp_path, monkeypatch) -> Places:
    return Places(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("filled", "server"),
    [
        (["embedded", "KUBECONFIG", "home", "service account"], "https://embedded:6443"),
        (["KUBECONFIG", "home", "service account"], "https://env:6443"),
        (["home", "service account"], "https://home:6443"),
        (["service account"], "https://10.0.0.1:443"),
        (["embedded", "service account"], "https://embedded:6443"),
        (["KUBECONFIG", "service account"], "https://env:6443"),
    ],
)
def test_the_first_place_that_has_a_cluster_is_taken(places, filled, server):
    places.fill(*filled)
    access = load()
    assert access.server == server
    assert access.embedded is (filled[0] == "embedded")


def test_a_file_that_was_asked_for_is_the_only_place(places):
    places.fill("embedded", "KUBECONFIG", "home", "service account")
    access = load(places.write("mine"))
    assert (access.server, access.embedded) == ("https://mine:6443", False)
    assert load(str(places.folder / "mine")).server == access.server
    with pytest.raises(ConfigError, match="there is no kubeconfig"):
        load(places.folder / "not there")
    with pytest.raises(ConfigError, match="there is no kubeconfig"):
        load(places.folder)


def test_the_embedded_clusters_own_file_is_known_when_it_is_asked_for(places):
    places.fill("embedded")
    path = announced()
    assert path is not None
    assert load(path).embedded
    announce(None)
    assert announced() is None
    assert not load(path).embedded


@pytest.mark.parametrize("context", ["embedded", "env", "home"])
def test_a_context_that_was_asked_for_is_taken_from_the_first_place_that_has_it(places, context):
    places.fill("embedded", "KUBECONFIG", "home", "service account")
    if context == "home":
        places.env(places.write("env"), places.folder / "home/.kube/config")
    assert load(context=context).server == f"https://{context}:6443"


def test_a_context_that_nobody_has(places):
    places.fill("embedded", "KUBECONFIG", "service account")
    with pytest.raises(ConfigError, match='no context "embeded" in') as caught:
        load(context="embeded")
    assert caught.value.hint == 'did you mean "embedded"?'


def test_a_file_that_is_found_twice_is_named_once_with_the_contexts_that_there_are(places):
    places.fill("embedded")
    places.env(announced(), places.write("mine"))
    with pytest.raises(ConfigError) as caught:
        load(context="nosuch")
    assert caught.value.what == (
        f'no context "nosuch" in the embedded cluster and KUBECONFIG {announced()}, '
        f"KUBECONFIG {places.folder / 'mine'}."
    )
    assert caught.value.hint == 'known: "embedded", "mine".'


def test_several_files_of_which_some_are_not_there(places):
    places.env(places.folder / "nowhere", "", places.write("first"), places.write("second"))
    assert load().server == "https://first:6443"
    assert load(context="second").server == "https://second:6443"


def test_an_empty_variable_is_as_good_as_none(places):
    """As kubectl has it: `KUBECONFIG=` means the default place."""
    places.fill("home")
    places.env("")
    assert load().server == "https://home:6443"


def test_a_file_without_a_current_context_is_passed_over(places):
    places.fill("KUBECONFIG", "home", "service account")
    places.env(places.write("env", document("env") | {"current-context": ""}))
    assert load().server == "https://10.0.0.1:443"
    assert load(context="env").server == "https://env:6443"


def test_with_none_found_it_is_said_where_was_looked(places):
    places.env(places.folder / "a", places.folder / "b")
    with pytest.raises(ConfigError) as caught:
        load()
    for name in ("a", "b", "serviceaccount"):
        assert str(places.folder / name) in caught.value.what
    assert "%kfwd up" in (caught.value.hint or "")


def test_the_service_account_of_the_pod_that_we_run_in(places):
    places.fill("service account")
    access = load()
    assert (access.context, access.namespace) == ("in-cluster", "my-namespace")
    assert access.ca_data == b"a certificate"
    assert (access.host, access.port) == ("10.0.0.1", 443)
    assert sent(access) == {"authorization": "Bearer t-account"}
    (places.account / "token").write_text("t-renewed, as every hour".replace(" ", "-"))
    assert sent(access) == {"authorization": "Bearer t-renewed,-as-every-hour"}


def test_a_service_account_without_namespace_and_ca_and_with_ipv6(places, monkeypatch):
    places.fill("service account")
    (places.account / "namespace").unlink()
    (places.account / "ca.crt").unlink()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    access = load()
    assert (access.namespace, access.ca_data) == ("default", None)
    assert (access.server, access.host) == ("https://[fd00::1]:443", "fd00::1")


def test_all_that_a_context_may_say(places):
    ca = base64.b64encode(b"the CA").decode()
    places.write("full/me.crt", "my certificate")
    places.write("me.key", "my key")
    path = places.write(
        "full/config",
        {
            "current-context": "full",
            "contexts": [
                {"name": "full", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}
            ],
            "clusters": [
                {
                    "name": "c",
                    "cluster": {
                        "server": "https://relay.example",
                        "certificate-authority-data": ca,
                        "tls-server-name": "kubernetes",
                    },
                }
            ],
            "users": [
                {"name": "u", "user": {"client-certificate": "me.crt", "client-key": "../me.key"}}
            ],
        },
    )
    access = load(path)
    assert (access.context, access.namespace) == ("full", "team-a")
    assert (access.host, access.port, access.server_name) == ("relay.example", 443, "kubernetes")
    assert access.ca_data == b"the CA"
    found = asyncio.run(access.credentials.current(print))
    assert (found.certificate, found.key, found.headers) == (b"my certificate", b"my key", {})
    assert str(path) in access.source


def test_files_beside_the_kubeconfig(places):
    """Their names are relative to it, as for kubectl."""
    content = document("x", tokenFile="secrets/token")
    content["clusters"][0]["cluster"]["certificate-authority"] = "ca.pem"
    path = places.write("here/config", content)
    places.write("here/secrets/token", "  from a file\n")
    places.write("here/ca.pem", "the CA")
    access = load(path)
    assert access.ca_data == b"the CA"
    assert sent(access) == {"authorization": "Bearer from a file"}
    (path.parent / "ca.pem").unlink()
    with pytest.raises(ConfigError, match=r"ca\.pem: No such file"):
        load(path)


V1 = "client.authentication.k8s.io/v1"
V1ALPHA = "client.authentication.k8s.io/v1alpha1"


def changed(**parts: Any) -> dict[str, Any]:
    return document("x") | parts


def with_cluster(**cluster: Any) -> dict[str, Any]:
    return changed(clusters=[{"name": "c-x", "cluster": cluster}])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{unclosed", "cannot be read"),
        ("\x00\x01", "cannot be read"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
        ("just words", "is no kubeconfig"),
        ("- a\n- b", "is no kubeconfig"),
        ("", "is no kubeconfig"),
        (changed(contexts="words"), "$.contexts"),
        (changed(contexts={"name": "x"}), "$.contexts"),
        (changed(contexts=5), "$.contexts"),
        (changed(clusters=[1, 2]), "$.clusters[0]"),
        (changed(users=[{"user": {}}]), "$.users[0]"),
        (changed(clusters=[]), 'there is no cluster "c-x"'),
        (changed(users=None), 'there is no user "u-x"'),
        (changed(contexts=[{"name": "x", "context": {}}]), "`cluster`"),
        (changed(contexts=[{"name": "x", "context": "words"}]), "x"),
        (changed(clusters=[{"name": "c-x", "cluster": ["words"]}]), "$.clusters[0].cluster"),
        (with_cluster(), "is no https or http URL"),
        (with_cluster(server="ftp://relay:80"), "is no https or http URL"),
        (with_cluster(server=["https://relay"]), "$.clusters[0].cluster.server"),
        (with_cluster(server="https://relay:port"), "is no https or http URL"),
        (with_cluster(server="https://relay:99999"), "is no https or http URL"),
        (with_cluster(server="https://:443"), "is no https or http URL"),
        (with_cluster(server="https://[::1"), "is no https or http URL"),
        (
            with_cluster(**{"server": "https://x", "certificate-authority-data": "*no base64*"}),
            "certificate-authority-data is no base64",
        ),
        (
            with_cluster(**{"server": "https://x", "certificate-authority-data": 5}),
            "certificate-authority-data",
        ),
        (
            with_cluster(**{"server": "https://x", "certificate-authority-data": "schlüssel"}),
            "certificate-authority-data is no base64",
        ),
        (document("x", exec={"command": "aws"}), "speaks apiVersion"),
        (document("x", exec={"apiVersion": V1}), "names no command"),
        (document("x", exec={"command": "aws", "apiVersion": V1ALPHA}), "v1alpha1"),
        (
            document("x", exec={"command": "a", "apiVersion": V1, "interactiveMode": "Always"}),
            "wants a terminal",
        ),
        (document("x", **{"auth-provider": {"name": "gcp"}}), "removed from kubectl in 1.26"),
        (document("x", **{"auth-provider": {"name": "azure"}}), "removed from kubectl in 1.26"),
        (document("x", **{"client-certificate-data": "QUJD"}), "needs its client-key"),
        (document("x", **{"client-certificate-data": "*"}), "client-certificate-data is no base64"),
        (document("x", **{"client-certificate": "no.crt", "client-key": "no"}), "no.crt: No such"),
        (document("x", token="secret\nX: y"), "characters that none may have"),
        (
            with_cluster(
                **{
                    "server": "https://x",
                    "insecure-skip-tls-verify": True,
                    "certificate-authority-data": "QUJD",
                }
            ),
            "exclude each other",
        ),
        (document("x", tokenFile="/not/there"), "/not/there: No such file"),
    ],
)
def test_what_cannot_be_used_is_one_clear_sentence(places, content, words):
    path = places.write("bad", content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert words in caught.value.what
    assert str(path) in caught.value.what
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_text(places):
    path = places.folder / "binary"
    path.write_bytes(b"\xff\xfe\x00\x80" * 10)
    with pytest.raises(ConfigError, match="is no kubeconfig"):
        load(path)


def test_certificates_that_cannot_be_used(places):
    ca = base64.b64encode(b"no certificate").decode()
    path = places.write(
        "config", with_cluster(**{"server": "https://x", "certificate-authority-data": ca})
    )
    with pytest.raises(ConfigError, match="the certificates cannot be used") as caught:
        asyncio.run(load(path).endpoint())
    assert str(path) in caught.value.what


def test_a_token_of_digits_is_a_token(places):
    access = load(places.write("config", document("x", token=12345)))
    assert sent(access) == {"authorization": "Bearer 12345"}


def test_a_name_and_a_password(places):
    access = load(places.write("config", document("x", username="me", password="pass")))
    assert sent(access) == {"authorization": "Basic bWU6cGFzcw=="}


def test_acting_as_somebody_else(places):
    user = {"token": "t", "as": "jane", "as-uid": "7", "as-groups": ["a", "b"]}
    access = load(places.write("config", document("x", **user)))
    assert sent(access) == {
        "authorization": "Bearer t",
        "impersonate-user": "jane",
        "impersonate-uid": "7",
        "impersonate-group": "a\0b",
    }
    assert (
        sent(dataclasses.replace(access, as_user="joe", as_groups=()))["impersonate-user"] == "joe"
    )


def test_files_are_merged_and_the_first_that_says_something_counts(places):
    """One file has the contexts, another the cluster, a third the user, beside its token."""
    first = document("x")
    places.write("b/token", "of b")
    places.env(
        places.write("a/one", {"current-context": "x", "contexts": first["contexts"]}),
        places.write("b/two", {"users": [{"name": "u-x", "user": {"tokenFile": "token"}}]}),
        places.write("c/three", first | {"current-context": "other"}),
    )
    access = load()
    assert (access.context, access.server) == ("x", "https://x:6443")
    assert sent(access) == {"authorization": "Bearer of b"}


def test_a_server_below_a_path_and_one_without_tls(places, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    access = load(places.write("a", with_cluster(server="https://rancher/k8s/clusters/c-1/")))
    assert access.path("/version") == "/k8s/clusters/c-1/version"
    access = load(places.write("b", with_cluster(server="http://10.0.0.1:8001")))
    endpoint = asyncio.run(access.endpoint())
    assert (endpoint.host, endpoint.port, endpoint.tls, endpoint.proxy) == (
        "10.0.0.1",
        8001,
        None,
        None,
    )
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    assert asyncio.run(access.endpoint()).proxy == "http://proxy:3128"
    cluster = {"server": "http://10.0.0.1:8001", "proxy-url": "socks5://own:1080"}
    access = load(places.write("c", with_cluster(**cluster)))
    assert asyncio.run(access.endpoint()).proxy == "socks5://own:1080"


def test_two_readings_of_one_context_are_equal(places):
    path = places.write("config", document("x"))
    assert load(path) == load(path)
    assert len({load(path), load(path)}) == 1
