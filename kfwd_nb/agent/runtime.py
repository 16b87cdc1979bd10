"""What pods are made with: `processes` here, real containers by CRI behind the same interface.

The words are CRI's: a pod sandbox is the pod's namespaces and the process that holds them;
containers are started in it and report their exit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from kfwd_nb.errors import KfwdError
from kfwd_nb.kube.objects import Container, Pod


class StartError(KfwdError):
    """A container's command could not be started."""


class SandboxError(KfwdError):
    """A pod sandbox could not be made."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended.

    Attributes:
        code: exit status; 128 and the signal's number when a signal ended it.
        reason: Kubernetes' word: Completed, Error or StartError.
        message: why, as far as the container's last lines tell.
        signal: number of the signal that ended it, 0 for none.
    """

    code: int
    reason: str
    message: str = ""
    signal: int = 0


class SandboxEvents(Protocol):
    """Who is told what happens in a sandbox; called on the event loop."""

    def container_exited(self, name: str, exit_: Exit) -> None:
        """The container's process has ended."""

    def sandbox_ended(self) -> None:
        """The sandbox is gone, with all processes in it. The last call."""


class Sandbox(ABC):
    """One pod, running."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that holds its namespaces, in the node agent's PID namespace."""

    @property
    @abstractmethod
    def netns(self) -> int | None:
        """Descriptor of its network namespace; None when it has none of its own."""

    @property
    @abstractmethod
    def ports(self) -> Mapping[int, int]:
        """Declared port → the port that really stands for it in the sandbox's network."""

    @property
    @abstractmethod
    def note(self) -> str:
        """What the pod did not get, for people to read; empty when nothing is missing."""

    @abstractmethod
    async def start(self, container: Container) -> None:
        """Start a container's command.

        Raises:
            StartError: it cannot be executed; the text says why.
        """

    @abstractmethod
    async def stop(self, grace: float) -> None:
        """End the pod: SIGTERM to its containers, after `grace` seconds SIGKILL to all of it.

        Returns when no process of it is left and its directory is removed.
        """


class Runtime(ABC):
    """Makes sandboxes."""

    @abstractmethod
    async def create(self, pod: Pod, events: SandboxEvents) -> Sandbox:
        """Make a pod's sandbox, without any container.

        Raises:
            SandboxError: the text says what was refused.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the runtime itself holds; its sandboxes are stopped before."""
