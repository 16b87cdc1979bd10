"""What a forward was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kfwd_nb.client.loops import LoopName
from kfwd_nb.ports import PortSpec, Target

DialectName = Literal["connect", "websocket", "spdy"]
"""The wires to a cluster (`client.dialing.dialects`)."""


@dataclass(frozen=True, slots=True)
class ForwardParameters:
    """What a forward was asked for; equal parameters mean the same forward."""

    target: Target
    ports: tuple[PortSpec, ...]
    namespace: str
    context: str
    server: str
    address: str
    loop: LoopName
    dialect: DialectName | None = None
    balance: bool = False
    user: str = ""
    groups: tuple[str, ...] = ()
    source: str = ""
