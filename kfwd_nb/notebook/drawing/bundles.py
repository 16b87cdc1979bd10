"""What the client returns → a bundle of HTML and text, as it is now."""

from __future__ import annotations

import time

from kfwd_nb.client.forward import Forward
from kfwd_nb.client.hops.view import HopView
from kfwd_nb.client.tracing.playback import Playback
from kfwd_nb.client.tracing.trace import Trace
from kfwd_nb.notebook.drawing.render import Bundle


def bundle_of(thing: object) -> Bundle:
    """The picture of a forward, a trace, a playback or a way; of others, their words."""
    match thing:
        case Forward():
            from kfwd_nb.notebook.drawing.render import table_bundle
            from kfwd_nb.notebook.drawing.table import build

            return table_bundle(build((thing,), time.time()))
        case Trace():
            from kfwd_nb.notebook.drawing.traced import trace_bundle

            return trace_bundle(thing)
        case Playback():
            from kfwd_nb.notebook.drawing.playing import play_bundle

            return play_bundle(thing)
        case HopView():
            from kfwd_nb.notebook.drawing.hop_picture import hops_bundle

            return hops_bundle(thing)
    return {"text/plain": repr(thing)}
