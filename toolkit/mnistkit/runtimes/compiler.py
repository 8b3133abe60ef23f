"""C compilers: which one is installed, and how generated C becomes a shared library."""

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mnistkit.core.errors import CompilerError, MissingCompilerError, one_line
from mnistkit.core.files import storage_error
from mnistkit.core.programs import Completed, run_program

NAMES = "cc", "gcc", "clang"
INSTALL = "sudo apt install gcc"
OPTIONS = "-O2", "-fPIC"
NATIVE = {"x86_64": "-march=native", "i686": "-march=native", "aarch64": "-mcpu=native", "armv7l": "-mcpu=native"}
VERSION_SECONDS = 20.0
COMPILE_SECONDS = 600.0  # a large network on a slow board
MAX_MESSAGE_CHARACTERS = 200


@dataclass(frozen=True)
class Compiler:
    """A C compiler."""

    command: tuple[str, ...]
    version: str  # the first line that it prints for --version

    @property
    def name(self) -> str:
        """The name in messages."""
        return " ".join((Path(self.command[0]).name, *self.command[1:]))


@dataclass(frozen=True)
class SourceFile:
    """A file of C in memory."""

    name: str
    content: bytes


def find_compiler(names: tuple[str, ...] = NAMES) -> Compiler:
    """The first of these compilers that is installed.

    Raises MissingCompilerError if none is, CompilerError if it does not respond.
    """
    for name in names:
        if path := shutil.which(name):
            return identify((path,))
    raise MissingCompilerError("no C compiler is installed", INSTALL)


@functools.cache
def identify(command: tuple[str, ...]) -> Compiler:
    """The compiler that a command starts; raises CompilerError if it does not respond."""
    compiler = Compiler(command, "")
    completed = _run(compiler, ("--version",), Path("/"), VERSION_SECONDS)
    lines = [line.strip() for line in completed.output.splitlines() if line.strip()]
    if completed.code or not lines:
        raise _failure(compiler, completed)
    return Compiler(command, lines[0])


def compile_library(
    compiler: Compiler,
    source: SourceFile,
    headers: tuple[SourceFile, ...],
    options: tuple[str, ...],
    link_options: tuple[str, ...] = (),
) -> bytes:
    """The shared library that the compiler makes of a source file; `options` select the processor.

    Raises CompilerError with one line of the compiler's message if it fails, StorageError if a temporary file can't be
    written.
    """
    # Two steps, because zig has no standard headers in one with -nostdlib.
    compiling = *OPTIONS, *options, "-c", "-o", "code.o", source.name
    linking = "-shared", *options, *link_options, "-o", "library.so", "code.o"
    try:
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
            folder = Path(name)
            for file in (source, *headers):
                (folder / file.name).write_bytes(file.content)
            for arguments, result in ((compiling, "code.o"), (linking, "library.so")):
                completed = _run(compiler, arguments, folder, COMPILE_SECONDS)
                if completed.code or not (folder / result).is_file():
                    raise _failure(compiler, completed)
            return (folder / "library.so").read_bytes()
    except OSError as error:
        raise storage_error("write to", Path(tempfile.gettempdir()), error) from error


def check_compiler(compiler: Compiler) -> None:
    """Raise CompilerError unless the compiler makes a library of a source that includes standard headers."""
    source = SourceFile("check.c", b"#include <stdint.h>\n#include <string.h>\nint32_t check(void) { return 0; }\n")
    compile_library(compiler, source, (), ())


def native_options(architecture: str) -> tuple[str, ...]:
    """The option that selects the processor that the compiler runs on."""
    return (NATIVE[architecture],) if architecture in NATIVE else ()


def _run(compiler: Compiler, arguments: tuple[str, ...], folder: Path, timeout: float) -> Completed:
    try:
        return run_program((*compiler.command, *arguments), folder, timeout)
    except TimeoutError as error:
        raise CompilerError(f"the C compiler {compiler.name} {error}", _remedy(compiler)) from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise CompilerError(f"the C compiler {compiler.name} does not start: {reason}", _remedy(compiler)) from error


def _failure(compiler: Compiler, completed: Completed) -> CompilerError:
    lines = [line.strip() for line in completed.errors.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "undefined" in line]
    ended = f"exit code {completed.code}" if completed.code >= 0 else f"signal {-completed.code}"
    reason = (errors or lines[-1:] or [ended])[0][:MAX_MESSAGE_CHARACTERS]
    return CompilerError(f"the C compiler {compiler.name} failed: {reason}", _remedy(compiler))


def _remedy(compiler: Compiler) -> str:
    return f"check that '{compiler.name}' compiles other programs, or install it again"
