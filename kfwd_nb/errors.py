"""One tree of errors: what failed, where on the chain, and what to do about it.

Every error that a person can see is a `KfwdError`. The parts of its text are kept apart, so that a
cell, a terminal and a table row can each show as much as fits:

    Pod "wbe" not found in namespace "default".
    hint: did you mean "web"?
"""

from __future__ import annotations

from typing import ClassVar, Literal

Hop = Literal["client", "relay", "node agent", "pod"]
"""The places of the chain, in the order in which a byte passes them."""


class KfwdError(Exception):
    """Something that a person should read.

    Args:
        what: one sentence: what failed. Text that came from a cluster is passed as it came; whoever
            shows it escapes it.
        where: the hop of the chain that failed, if it is known.
        hint: what to do about it, one sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: Hop | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return self.what if self.hint is None else f"{self.what}\nhint: {self.hint}"

    def _render_traceback_(self) -> list[str]:
        """Lines that IPython shows in the place of a traceback: the error itself, nothing else.

        The cell still fails, so that Run All, papermill and nbclient stop there.
        """
        return printable(str(self)).split("\n")


class UsageError(KfwdError):
    """What a person typed cannot be meant."""

    exit_code = 2


class ConfigError(KfwdError):
    """A kubeconfig, a manifest or an option names something that is not there or not valid."""


class ListenError(KfwdError):
    """The local port cannot be had."""


class NotFoundError(KfwdError):
    """The cluster has no such object, or the object has no such port."""


class NoPortError(NotFoundError):
    """The object is there, and has no such port."""


class UnauthorizedError(KfwdError):
    """The cluster does not know who is asking (401)."""


class ForbiddenError(KfwdError):
    """The cluster knows who is asking, and the answer is no (403)."""


class UnavailableError(KfwdError):
    """It exists, but cannot be used now: the pod is not running, the node is not ready."""


class RefusedError(KfwdError):
    """The pod was reached, and nobody listens on its port."""


class LostError(KfwdError):
    """A hop of the chain went away, or stopped answering, under a connection."""


class TruncatedError(LostError, ConnectionError):
    """The other end of a TLS connection is gone without a word: what came may not be all."""


class ResetError(KfwdError):
    """The other end of the connection reset it."""


class LimitError(KfwdError):
    """A named limit is reached; the text names it."""


class WaitError(KfwdError, TimeoutError):
    """What was waited for has not come in time."""


class ExpiredError(KfwdError):
    """The version asked for has left the server's history (410): list anew."""


class ClusterError(KfwdError):
    """The embedded cluster could not be started, or ended by itself."""


class ProtocolError(KfwdError):
    """The rules of a wire protocol were broken."""


class LocalProtocolError(ProtocolError):
    """By us: a bug here."""


class RemoteProtocolError(ProtocolError):
    """By the peer; `code` is the wire's own error code for the reply, where it has one."""

    def __init__(
        self,
        what: str,
        *,
        code: int | None = None,
        where: Hop | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code


def printable(text: str) -> str:
    """`text` with every control character but newline and tab made visible.

    Text from pods and clusters may hold terminal escapes; a terminal shall show them, not obey.
    """
    return "".join(
        c if c in "\n\t" or (c.isprintable() or c == " ") else c.encode("unicode_escape").decode()
        for c in text
    )
