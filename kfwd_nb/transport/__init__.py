"""Sockets, TLS, tasks and timers: drives a protocol and pumps bytes."""
