"""A process's standard input and output as a `ByteStream`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from abc import abstractmethod

from kfwd_nb.errors import KfwdError
from kfwd_nb.transport.buffers import READ_SIZE, read_buffer
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver

WRITE_HIGH_WATER = 1 << 16
"""Bytes that may wait for the process to read them before its feeder is paused."""


class PipeStream(ByteStream):
    """Reads a process's output and writes to its input; the end of the stream is its exit.

    Linux only, for the exit is noticed by a pidfd. Closing the stream kills the process; it is
    reaped in each case.

    Args:
        process: started with unbuffered pipes for input and output.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._loop = asyncio.get_running_loop()
        self._input, self._output = process.stdin, process.stdout
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)
        self._receiver: Receiver | None = None
        self._waiting = bytearray()
        self._full = self._ending = False
        self._over = False
        self._error: KfwdError | None = None
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._exited)

    @abstractmethod
    def verdict(self) -> KfwdError | None:
        """What went wrong, as far as the process has told; None when nothing did.

        Asked when its output ends, so that a connection which broke is not taken for one that
        ended, and when it has exited (`process.returncode` says how).
        """

    # -- ByteStream -------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        """See `ByteStream`."""
        self._receiver = receiver
        if self._over:
            self._loop.call_soon(receiver.closed, self._error)
        else:
            self.resume()

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """See `ByteStream`."""
        if self._ending or self._input.closed:
            return True
        if not self._waiting:
            start += self._write_some(buffer[start:end])
        if start < end and not self._input.closed:
            if not self._waiting:
                self._loop.add_writer(self._input.fileno(), self._write_waiting)
            self._waiting += buffer[start:end]
            self._full = self._full or len(self._waiting) > WRITE_HIGH_WATER
        return not self._full

    def write_eof(self) -> None:
        """See `ByteStream`."""
        self._ending = True
        if not self._waiting:
            self._close_input()

    def pause(self) -> None:
        """See `ByteStream`."""
        if not self._output.closed:
            self._loop.remove_reader(self._output.fileno())

    def resume(self) -> None:
        """See `ByteStream`."""
        if not self._output.closed:
            self._loop.add_reader(self._output.fileno(), self._read)

    def close(self, error: KfwdError | None = None) -> None:
        """See `ByteStream`."""
        if self._over:
            return
        self._close_input()
        self._close_output()
        if self.process.returncode is None:
            self.process.kill()
        self.finish(error)

    @property
    def unsent(self) -> int:
        """See `ByteStream`."""
        return len(self._waiting)

    # -- the process ------------------------------------------------------------------------------

    def end(self) -> None:
        """Close at once and reap the process too, for when the event loop will run no more."""
        self.close()
        if self.process.returncode is None:
            self._exited()

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.process.wait()
        self._close_input()
        if self._output.closed:  # else what is still in the pipe comes first
            self.finish(self.verdict())

    def finish(self, error: KfwdError | None) -> None:
        """Both directions are over: tell the receiver, once."""
        if self._over:
            return
        self._over = True
        self._error = error
        if self._receiver is not None:
            self._loop.call_soon(self._receiver.closed, error)  # never from within our `close`

    # -- its output -------------------------------------------------------------------------------

    def _read(self) -> None:
        buffer = read_buffer()
        try:
            count = os.readv(self._output.fileno(), [buffer[HEADROOM : HEADROOM + READ_SIZE]])
        except (BlockingIOError, InterruptedError):
            return
        assert self._receiver is not None
        if count:
            self._receiver.data_received(buffer, HEADROOM, HEADROOM + count)
            return
        self._close_output()
        error = self.verdict()
        if error is not None:
            self.close(error)
            return
        self._receiver.eof_received()
        if self.process.returncode is not None:
            self.finish(self.verdict())

    def _close_output(self) -> None:
        if not self._output.closed:
            self._loop.remove_reader(self._output.fileno())
            self._output.close()

    # -- its input --------------------------------------------------------------------------------

    def _write_some(self, data: memoryview | bytearray) -> int:
        try:
            return os.write(self._input.fileno(), data)
        except (BlockingIOError, InterruptedError):
            return 0
        except BrokenPipeError:  # it reads no more; why, its exit will tell
            self._close_input()
            return 0

    def _write_waiting(self) -> None:
        del self._waiting[: self._write_some(self._waiting)]
        if self._input.closed or self._waiting:
            return
        self._loop.remove_writer(self._input.fileno())
        if self._ending:
            self._close_input()
        elif self._full:
            self._full = False
            if self._receiver is not None:
                self._receiver.writable()

    def _close_input(self) -> None:
        self._waiting.clear()
        if not self._input.closed:
            self._loop.remove_writer(self._input.fileno())
            with contextlib.suppress(OSError):
                self._input.close()
