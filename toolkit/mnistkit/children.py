"""Processes of our own, spoken to in lines of JSON: what may crash or hang does so in one of them.

The parent holds a Child, and the child a conversation.
"""

from __future__ import annotations

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

from mnistkit import native_output
from mnistkit.errors import MnistkitError, WorkerError

Message = dict[str, Any]

DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
LAST_WORDS = 4096  # bytes
LONGEST = 1 << 28  # bytes of an answer


class Child:
    """A module of ours, run in a process of its own until `close`; `name` is what errors call it."""

    def __init__(self, module: str, name: str, remedy: str) -> None:
        self._name, self._remedy = name, remedy
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],  # -P: nothing is imported from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        self._read = b""

    def send(self, request: Message) -> None:
        """Hand it one line."""
        with contextlib.suppress(BrokenPipeError):  # its answer, or the lack of one, tells why
            self._requests.write(json.dumps(request).encode() + b"\n")

    def answer(self, seconds: float) -> Message:
        """Its next line; raises WorkerError where that doesn't come in `seconds`, or tells of a failure."""
        line = self._line(seconds)
        if line is None:
            raise self.failure(self._ending(seconds))
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self.failure(f"answered {line[:40].decode(errors='replace')!r}")
        if "error" in answer:
            raise self.failure(f"failed: {answer['error']}", answer.get("remedy"))
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _line(self, seconds: float) -> bytes | None:
        """What it says up to the next line's end; None where it has said its last."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._read:
                left = deadline - time.monotonic()
                if left < 0 or not selector.select(left) or len(self._read) > LONGEST:
                    raise self.failure(f"gave no answer in {seconds:g} s")
                read = os.read(self._answers.fileno(), 1 << 16)
                if not read:
                    return None
                self._read += read
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _ending(self, seconds: float) -> str:
        """How it ended, and what it said last."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "closed its output and went on"
        how = f"died of {_signal_name(-code)}" if code < 0 else f"stopped with exit code {code}"
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - LAST_WORDS))
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{how} ({words[-1].strip()[:200]})" if words else how

    def failure(self, what: str, remedy: str | None = None) -> WorkerError:
        """The error that names it."""
        return WorkerError(f"{self._name} {what}", remedy or self._remedy)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


@contextlib.contextmanager
def conversation() -> Iterator[tuple[Iterator[Message], Callable[[Message], None]]]:
    """In a child: the requests, as they come, and what answers them.

    An exception is the last answer.
    """
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has it
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    native_output.keep()  # the parent wants a runtime's last words
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a runtime prints must not mix with the answers

    def reply(message: Message) -> None:
        print(json.dumps(message), file=answers)

    try:
        yield map(json.loads, sys.stdin), reply
    except KeyboardInterrupt:  # the parent tells the user
        sys.exit(130)
    except Exception as error:
        reply(failure(error))
        sys.exit(1)


def failure(error: Exception) -> Message:
    """The answer that tells of it."""
    if isinstance(error, MnistkitError):
        return {"error": error.problem, "remedy": error.remedy}
    return {"error": " ".join(str(error).split()) or type(error).__name__}
