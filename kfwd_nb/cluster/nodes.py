"""The configuration files and commands of the relay and of the nodes' agents."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from kfwd_nb.agent.config import ConnectorName, Isolation
from kfwd_nb.cluster.folder import Folder
from kfwd_nb.cluster.kubeconfig import USER
from kfwd_nb.cluster.pki import Authority, Credential
from kfwd_nb.kube.identities import MASTERS

RELAY_HOST = "127.0.0.1"

POD_NOFILE = 1024
"""Soft limit of open descriptors that pods get: the usual one, which relay and agents raise."""

PROGRAMS = Path(__file__).with_name("workloads")
"""The programs of the default manifests."""

USERNS_LAUNCHER = Path(__file__).with_name("userns.py")

SEEN = ["namespaces", "nodes", "pods", "services", "deployments"]
READERS = ["viewers", "forwarders", "old-forwarders"]

RULES = [
    {"groups": READERS, "verbs": ["get", "list", "watch"], "resources": SEEN},
    {"groups": ["forwarders"], "verbs": ["create", "get"], "resources": ["pods/portforward"]},
    {"groups": ["old-forwarders"], "verbs": ["create"], "resources": ["pods/portforward"]},
]
"""What members of some groups may do. Nobody is in them; the administrator can act as if
(`--as ann --as-group viewers`), to see what others are told."""

PYTHON = (sys.executable, "-P")
"""Without the current folder on the module path, where a notebook may have a file `ssl.py`."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What all files of one cluster have in common.

    Attributes:
        folder: where they are written.
        authority: the cluster's CA.
        token: bearer token of the cluster's user.
        isolation: how agents keep pods apart.
        connector: how agents open ports inside pods.
    """

    folder: Folder
    authority: Authority
    token: str
    isolation: Isolation
    connector: ConnectorName

    def write_ca(self) -> None:
        """Write the CA's certificate, which all other files refer to."""
        self.folder.write("ca.crt", self.authority.certificate)

    def relay(self) -> list[str]:
        """Write the relay's files; returns its command."""
        config = {
            **self._common("relay", self.authority.relay()),
            "host": RELAY_HOST,
            "port": 0,
            "tokens": [{"token": self.token, "user": USER, "groups": [MASTERS]}],
            "rules": RULES,
        }
        return self._command("relay", config)

    def agent(self, node: str, relay_port: int) -> list[str]:
        """Write a node's files; returns its agent's command."""
        config = {
            **self._common(node, self.authority.node(node)),
            "node": node,
            "relay": {"host": RELAY_HOST, "port": relay_port},
            "isolation": self.isolation,
            "connector": "loopback" if self.isolation == "loopback" else self.connector,
            "scratch": str(self.folder.pods),
            "nofile": POD_NOFILE,
            "faults": str(self.folder.path / f"{node}.faults"),
            "variables": {"KFWD_PYTHON": sys.executable, "KFWD_WORKLOADS": str(PROGRAMS)},
        }
        command = self._command(node, config, module="agent")
        if self.isolation == "userns":
            return [sys.executable, "-I", "-S", str(USERNS_LAUNCHER), *command]
        return command

    def _common(self, name: str, credential: Credential) -> dict[str, object]:
        cert = self.folder.write(f"{name}.crt", credential.certificate)
        key = self.folder.write(f"{name}.key", credential.key)
        ca = self.folder.path / "ca.crt"
        return {"cluster": self.folder.name, "cert": str(cert), "key": str(key), "ca": str(ca)}

    def _command(
        self, name: str, config: dict[str, object], *, module: str | None = None
    ) -> list[str]:
        path = self.folder.write(f"{name}.json", json.dumps(config, indent=1).encode())
        return [*PYTHON, "-m", f"kfwd_nb.{module or name}", "--config", str(path)]
