"""Where the cluster is looked for, in which order, and what is said when it is not there."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube import kubeconfig
from kfwd_nb.kube.kubeconfig import announce, announced, load

pytestmark = pytest.mark.pure


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
        monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", self.account)
        monkeypatch.setattr(kubeconfig, "_announced", None)
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
    assert (access.context, access.namespace, access.token) == (
        "in-cluster",
        "my-namespace",
        "t-account",
    )
    assert access.ca_data == b"a certificate"
    assert (access.host, access.port) == ("10.0.0.1", 443)
    assert access.headers() == {"authorization": "Bearer t-account"}


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
    assert access.client_cert == (path.parent / "me.crt", path.parent / "../me.key")
    assert (access.token, access.headers()) == (None, {})
    assert str(path) in access.source


def test_files_beside_the_kubeconfig(places):
    """Their names are relative to it, as for kubectl."""
    content = document("x", tokenFile="secrets/token")
    content["clusters"][0]["cluster"]["certificate-authority"] = "ca.pem"
    path = places.write("here/config", content)
    places.write("here/secrets/token", "  from a file\n")
    places.write("here/ca.pem", "the CA")
    access = load(path)
    assert (access.token, access.ca_data) == ("from a file", b"the CA")
    (path.parent / "ca.pem").unlink()
    with pytest.raises(ConfigError, match=r"ca\.pem: No such file"):
        load(path)


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
        (with_cluster(), "is no https URL"),
        (with_cluster(server="http://relay:80"), "is no https URL"),
        (with_cluster(server=["https://relay"]), "$.clusters[0].cluster.server"),
        (with_cluster(server="https://relay:port"), "is no https URL"),
        (with_cluster(server="https://relay:99999"), "is no https URL"),
        (with_cluster(server="https://:443"), "is no https URL"),
        (with_cluster(server="https://[::1"), "is no https URL"),
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
        (document("x", exec={"command": "aws"}), "`exec` is not supported yet"),
        (document("x", username="me", password="secret"), "`username` is not supported yet"),
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
        load(path).tls()
    assert str(path) in caught.value.what


def test_a_token_of_digits_is_a_token(places):
    assert load(places.write("config", document("x", token=12345))).token == "12345"
