"""What RST_STREAM codes mean between our hops (RFC 9113 §7), in both directions."""

from __future__ import annotations

from kfwd_nb.errors import KfwdError, LostError, ResetError

NO_ERROR = 0x0
INTERNAL_ERROR = 0x2
CANCEL = 0x8
CONNECT_ERROR = 0xA

_RESET_REASONS = {
    NO_ERROR: "the other end closed the connection.",
    INTERNAL_ERROR: "a hop behind the relay was lost.",
    CANCEL: "the other end gave the connection up.",
    CONNECT_ERROR: "the connection was reset by the pod.",
}
"""RST_STREAM codes (RFC 9113 §7) that our own hops send, in words."""


def reset_error(code: int) -> KfwdError:
    """What an RST_STREAM means to a person."""
    reason = _RESET_REASONS.get(code, f"the stream was reset with code {code}.")
    return LostError(reason) if code == INTERNAL_ERROR else ResetError(reason)


def reset_code(error: KfwdError | None) -> int:
    """The RST_STREAM code that tells the next hop about `error`."""
    if error is None:
        return CANCEL
    return CONNECT_ERROR if isinstance(error, ResetError) else INTERNAL_ERROR
