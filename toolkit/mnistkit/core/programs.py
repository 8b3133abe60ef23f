"""Runs a program to its end, or kills it with all processes that it started."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_OUTPUT_BYTES = 1 << 20


@dataclass(frozen=True)
class Completed:
    """The end of a program."""

    code: int  # negative: the number of the signal that killed it
    output: str  # standard output
    errors: str  # standard error


def run_program(command: Sequence[str], folder: Path, timeout: float) -> Completed:
    """Run a program in a folder. Raises OSError if it can't start, TimeoutError if it takes longer than `timeout` s."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=os.environ | {"LC_ALL": "C"},  # messages in English
            start_new_session=True,  # a process group of its own, which is killed at once
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"did not respond in {timeout:g} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        errors.seek(0)
        texts = (file.read(MAX_OUTPUT_BYTES).decode(errors="replace") for file in (output, errors))
        return Completed(code, *texts)
