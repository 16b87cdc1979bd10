"""Host names that mean pods and services, and the forwards that lead there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TypedDict

from kfwd_nb.client import Forward, forward
from kfwd_nb.client.pod_socket import PodSocket
from kfwd_nb.errors import KfwdError, LimitError, UsageError, printable
from kfwd_nb.ports import Target, kind_of

MAX_TARGETS = 100
"""Targets that one transport keeps a forward for."""

CLUSTER_DOMAIN = ".cluster.local"
"""What may follow `.svc`, as in the DNS of clusters."""

_numbers = count(1)


class ClusterOptions(TypedDict, total=False):
    """Options of `kfwd_nb.forward` that a transport passes on; see there."""

    context: str | None
    kubeconfig: str | Path | None
    dialect: str | None
    balance: bool
    pod_running_timeout: float | None
    as_user: str | None
    as_groups: Sequence[str]


def parse_host(host: str) -> tuple[Target, str]:
    """Read `NAME.NAMESPACE.KIND`, as in `web.default.pod` or `api.default.svc`: target, namespace.

    KIND is any that can be forwarded to; `.svc.cluster.local` is `.svc`.

    Raises:
        UsageError: it is no such name.
    """
    plain = host.removesuffix(".").removesuffix(CLUSTER_DOMAIN)
    name, namespace, kind = ["", "", *plain.rsplit(".", 2)][-3:]
    short = kind_of(kind)
    if short is None or not name or not namespace:
        raise UsageError(
            f'"{host}" is no name of a pod or a service.',
            hint="use NAME.NAMESPACE.KIND, as in web.default.pod or api.default.svc.",
        )
    return Target(short, name), namespace


def in_one_line(error: KfwdError | OSError) -> str:
    """An error for the message of another library's exception."""
    return printable(str(error)).replace("\n", " ")


class Targets:
    """Forwards without local ports, one for each host name that was asked for.

    They are listed with all others, as `web.default.pod#1`.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._number = next(_numbers)
        self._lock = threading.Lock()
        self._forwards: dict[str, Forward] = {}

    def connect(self, host: str, port: int, timeout: float | None) -> PodSocket:
        """A connected socket to a port of the target that the host names.

        Raises:
            WaitError: it was not connected in `timeout` seconds.
            KfwdError: it cannot be; the text says why.
        """
        return self.forward(host).open(port, timeout)

    def forward(self, host: str) -> Forward:
        """The forward for a host name, started at its first use, and again if it was stopped."""
        target, namespace = parse_host(host)
        with self._lock:
            found = self._forwards.get(host)
            if found is not None and found.ready:
                return found
            if len(self._forwards) >= MAX_TARGETS and found is None:
                raise LimitError(f"one transport leads to {MAX_TARGETS} targets at the most.")
            name = f"{host}#{self._number}"
            found = forward(str(target), namespace=namespace, name=name, **self._options)
            self._forwards[host] = found
            return found

    def close(self) -> None:
        """Stop them all; what is asked for later starts anew."""
        with self._lock:
            stopping, self._forwards = self._forwards, {}
        for each in stopping.values():
            each.stop()
