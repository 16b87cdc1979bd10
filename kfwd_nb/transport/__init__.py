"""Sockets, TLS, tasks and timers: drives a protocol and pumps bytes.

Each wire has a package: `http1`, `http2`, `spdy`, `websocket`. Beside them is what they stand on,
and `server`, whose one port speaks both versions of HTTP.
"""
