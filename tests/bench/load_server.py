"""The far end of a measurement: blocking sockets, a thread for each connection.

The first byte says what is wanted: `d` and a length of 32 digits: that many bytes come; `u` and a
length: that many are taken, then one byte comes; `e`: every byte comes back.
"""

from __future__ import annotations

import resource
import socket
import sys
import threading

BLOCK = bytes(1 << 18)


def serve(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        want = sock.recv(1)
        if want == b"e":
            while data := sock.recv(1 << 16):
                sock.sendall(data)
        elif want in (b"d", b"u"):
            left = int(sock.recv(32, socket.MSG_WAITALL))
            if want == b"d":
                while left > 0:
                    sock.sendall(BLOCK[:left])
                    left -= len(BLOCK)
            else:
                buffer = bytearray(1 << 18)
                while left > 0 and (got := sock.recv_into(buffer)):
                    left -= got
                sock.sendall(b"!")


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # a pod has the usual soft limit of 1,024
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.stack_size(1 << 17)
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve, args=(sock,), daemon=True).start()


main()
