"""Processes of our own, spoken to in lines of JSON: what may crash or hang does so in one of them.

The parent holds a Child, and the child a conversation.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from mnistkit.errors import MnistkitError, WorkerError

Message = dict[str, Any]


class Child:
    """A module of ours, run in a process of its own until `close`; `name` is what errors call it."""

    def __init__(self, module: str, name: str, remedy: str) -> None:
        self._name, self._remedy = name, remedy
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],  # -P: nothing is imported from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._requests = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)

    def send(self, request: Message) -> None:
        """Hand it one line."""
        with contextlib.suppress(BrokenPipeError):  # its answer, or the lack of one, tells why
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()

    def answer(self, seconds: float) -> Message:
        """Its next line; raises WorkerError where that doesn't come in `seconds`, or tells of a failure."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise self._failure(f"gave no answer in {seconds:.0f} s")
        line = self._answers.readline()
        if not line:
            raise self._failure(_ending(self._process.wait(seconds)))
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failure(f"answered {line[:40].strip()!r}")
        if "error" in answer:
            raise self._failure(f"failed: {answer['error']}", answer.get("remedy"))
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _failure(self, what: str, remedy: str | None = None) -> WorkerError:
        return WorkerError(f"{self._name} {what}", remedy or self._remedy)


def _ending(code: int) -> str:
    """How a process that ended with this code did so."""
    if code >= 0:
        return f"stopped with exit code {code}"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"died of signal {-code}"


@contextlib.contextmanager
def conversation() -> Iterator[tuple[Iterator[Message], Callable[[Message], None]]]:
    """In a child: the requests, as they come, and what answers them.

    An exception is the last answer.
    """
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
