"""Worker processes that exchange lines of JSON with their parent: a runtime that crashes or hangs takes only one down.

The parent holds a WorkerProcess; the worker opens a worker_channel.
"""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from mnistkit.core import native_output
from mnistkit.core.errors import MnistkitError, WorkerError, one_line

Message = dict[str, Any]

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>
STDERR_TAIL_BYTES = 4096
MAX_MESSAGE_BYTES = 1 << 28


class WorkerProcess:
    """A Python module that runs in a process of its own until `close`. `name` and `remedy` go into its errors."""

    def __init__(self, module: str, name: str, remedy: str) -> None:
        self._name, self._remedy = name, remedy
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],  # -P: import nothing from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        self._buffer = b""

    def send(self, message: Message) -> None:
        """Send one message."""
        with contextlib.suppress(BrokenPipeError):  # `receive` reports how the worker ended
            self._stdin.write(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float) -> Message:
        """The next message; raises WorkerError if none arrives in `timeout` seconds, or if it reports an error."""
        line = self._read_line(timeout)
        if line is None:
            raise self.error(self._exit_reason(timeout))
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise self.error(f"sent an invalid message: {line[:40].decode(errors='replace')!r}")
        if "error" in message:
            raise self.error(f"failed: {message['error']}", message.get("remedy"))
        return message

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def error(self, problem: str, remedy: str | None = None) -> WorkerError:
        """The error that names this process."""
        return WorkerError(f"{self._name} {problem}", remedy or self._remedy)

    def _read_line(self, timeout: float) -> bytes | None:
        """The next line; None at the end of the output."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                remaining = deadline - time.monotonic()
                if remaining < 0 or not selector.select(remaining):
                    raise self.error(f"did not respond in {timeout:g} s")
                chunk = os.read(self._stdout.fileno(), 1 << 16)
                if not chunk:
                    return None
                self._buffer += chunk
                if len(self._buffer) > MAX_MESSAGE_BYTES:
                    raise self.error(f"sent a message of more than {MAX_MESSAGE_BYTES:,} bytes")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _exit_reason(self, timeout: float) -> str:
        """How the process ended, with the last line of its standard error."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return "closed its output but did not exit"
        reason = f"died of {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
        last_line = last_stderr_line(self._stderr)
        return f"{reason} ({last_line[:200]})" if last_line else reason


def last_stderr_line(stderr: IO[bytes]) -> str:
    """The last line that is not blank of a file that a process wrote its standard error to; empty if there is none."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - STDERR_TAIL_BYTES))
    lines = [line.strip() for line in stderr.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


@contextlib.contextmanager
def worker_channel() -> Iterator[tuple[Iterator[Message], Callable[[Message], None]]]:
    """In a worker: an iterator over the parent's messages, and a function that sends one back.

    An exception in the block is sent as the last message.
    """
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    native_output.disable_suppression()  # the parent reads what a runtime logs before it dies
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a runtime prints must not mix with the messages

    def send(message: Message) -> None:
        print(json.dumps(message), file=channel)

    try:
        yield map(json.loads, sys.stdin), send
    except KeyboardInterrupt:  # the parent reports it
        sys.exit(130)
    except Exception as error:
        send(_error_message(error))
        sys.exit(1)


def _error_message(error: Exception) -> Message:
    if isinstance(error, MnistkitError):
        return {"error": error.problem, "remedy": error.remedy}
    return {"error": one_line(error)}
