"""The entry point: loads commands lazily, and turns every error into one message and an exit code."""

import importlib
import io
import os
import signal
import sys
from pathlib import Path

import click

from mnistkit.cli.exit_codes import SIGNALED, ExitCode
from mnistkit.cli.stdout import discard
from mnistkit.core import files
from mnistkit.core.errors import MnistkitError, one_line, printable
from mnistkit.core.version import __version__

# Module names, not modules: `--help` imports none of them, and no package imports one above it.
COMMANDS = {
    "data": "mnistkit.cli.commands.data",
    "recipes": "mnistkit.cli.commands.recipes",
    "train": "mnistkit.cli.commands.train",
    "predict": "mnistkit.cli.commands.predict",
    "export": "mnistkit_export.commands.export",
    "inspect": "mnistkit_export.commands.inspect",
    "diagnose": "mnistkit_export.commands.diagnose",
    "verify": "mnistkit.cli.commands.verify",
    "compare": "mnistkit.cli.commands.compare",
    "bench": "mnistkit_bench.commands.bench",
    "profile": "mnistkit_bench.commands.profile",
    "recommend": "mnistkit_bench.commands.recommend",
    "fleet": "mnistkit.cli.commands.fleet",
    "doctor": "mnistkit.cli.commands.doctor",
    "wheelhouse": "mnistkit.cli.commands.wheelhouse",
}


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=LazyGroup, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="mnistkit")
def cli() -> None:
    """Train a small Keras network, export it for the edge, verify accuracy parity, and measure latency."""


def main() -> None:
    """Run the command line of this process and exit."""
    _open_standard_streams()
    # OpenBLAS starts a thread per core at import, and mnistkit multiplies no large matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # the terminal's encoding may lack a character
    for number in (signal.SIGTERM, signal.SIGHUP):  # exit normally, so that temporary files are removed
        if signal.getsignal(number) is not signal.SIG_IGN:  # started by nohup
            signal.signal(number, lambda number, _: sys.exit(SIGNALED + number))
    sys.exit(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Open the standard streams that the caller has closed, so that no other file gets their numbers."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = cli.main(arguments, prog_name="mnistkit", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.OK
    except MnistkitError as error:
        return _fail(str(error), ExitCode.INVALID_INPUT)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.INVALID_INPUT
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "mnistkit"
        return _fail(f"{error.format_message().rstrip('.')}; see '{path} --help'", ExitCode.INVALID_INPUT)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; existing files were left intact", ExitCode.INTERRUPTED)
    except OSError as error:
        return _fail(str(files.storage_error("use", Path(error.filename or "the disk"), error)), ExitCode.INVALID_INPUT)
    except Exception as error:
        if os.environ.get("MNISTKIT_TRACEBACK"):
            raise
        return _fail(
            f"internal error: {type(error).__name__}: {one_line(error)}; "
            "set MNISTKIT_TRACEBACK=1 for the traceback, and report it",
            ExitCode.INTERNAL_ERROR,
        )


def _fail(message: str, code: ExitCode) -> ExitCode:
    try:
        click.echo(f"mnistkit: {printable(' '.join(message.split()))}", err=True)
    except OSError:  # standard error is closed or full: the exit code is all that is left
        discard(2)
    return code
