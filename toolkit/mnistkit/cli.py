"""The command line: lazy commands, and the ONE place where an error becomes a message and an exit code.

Exit codes: 0 done · 1 a check failed · 2 usage or broken input · 3 too few images to tell · 4 a tainted measurement ·
70 a bug in mnistkit · 130 interrupted · 128 + a signal that ended it.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from pathlib import Path

import click

from mnistkit import __version__, files
from mnistkit.errors import MnistkitError

COMMANDS = (
    "data",
    "recipes",
    "train",
    "predict",
    "export",
    "inspect",
    "diagnose",
    "deploy",
    "verify",
    "compare",
    "bench",
    "recommend",
    "summary",
    "doctor",
    "wheelhouse",
)
BUG, INTERRUPTED = 70, 130


class LazyGroup(click.Group):
    """Imports the file of a command when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from the file of its name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mnistkit.commands.{cmd_name}").command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mnistkit")
def cli() -> None:
    """Train a small Keras network, export it for the edge, prove that nothing was lost, measure it there."""


def main() -> None:
    """The entry point of the command `mnistkit`."""
    # numpy's own threads would spin at start-up, for matrix products that nothing here asks of it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a character is no reason to stop
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that temporary files are removed
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = cli.main(arguments, prog_name="mnistkit", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except MnistkitError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "mnistkit"
        return _fail(f"{error.format_message().rstrip('.')}; see '{path} --help'", 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; what was whole before still is", INTERRUPTED)
    except OSError as error:
        return _fail(str(files.storage_error("use", Path(error.filename or "the disk"), error)), 2)
    except Exception as error:
        if os.environ.get("MNISTKIT_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error}; a bug: report it, with MNISTKIT_TRACEBACK=1 set", BUG)


def _fail(message: str, code: int) -> int:
    click.echo(f"mnistkit: {' '.join(message.split())}", err=True)
    return code
