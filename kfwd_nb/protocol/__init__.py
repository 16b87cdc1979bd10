"""The wire formats, sans-I/O: bytes in, events out, bytes to send. No clock, no socket, no loop."""
