"""Times as Kubernetes writes them."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def timestamp(now: float | None = None) -> str:
    """Seconds since the epoch, by default now, as RFC 3339 in UTC, to the second."""
    now = time.time() if now is None else now
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
