"""Compiles the C of a bundle in advance for processors that the user names."""

import importlib.util
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mnistkit import bundle
from mnistkit.bundle import Library, Target, header_name, library_name
from mnistkit.core import files
from mnistkit.core.cpu import this_cpu
from mnistkit.core.errors import CompilerError, ExportError
from mnistkit.core.packages import install_command
from mnistkit.runtimes import compiler
from mnistkit.runtimes.compiler import Compiler, SourceFile
from mnistkit.runtimes.targets import TARGETS

# The library calls no function: it loads wherever the processor fits, whatever the C library.
FREESTANDING = "-nostdlib", "-Wl,--no-undefined", "-s"


def check_compilers(targets: Iterable[Target]) -> None:
    """Raise ExportError if a target has no compiler. For use before slow work."""
    for target in targets:
        find_compiler(target)


def find_compiler(target: Target) -> tuple[Compiler, tuple[str, ...]]:
    """A compiler for a target, and the options that select it; raises ExportError if there is none."""
    try:
        for command, options in _candidates(target):
            return compiler.identify(command), options
    except CompilerError as error:
        raise ExportError(error.problem, error.remedy) from error
    raise ExportError(f"no C compiler for {target} is installed", f"{_install(target)}, or {install_command('cross')}")


def _candidates(target: Target) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The commands of the installed compilers with their options, the preferred one first."""
    options = TARGETS[target]
    names = compiler.NAMES if options.architecture == this_cpu().architecture else ()
    for name in (*names, f"{options.architecture}-linux-gnu-gcc"):
        if path := shutil.which(name):
            yield (path,), options.gcc
    if importlib.util.find_spec("ziglang"):
        yield (sys.executable, "-P", "-m", "ziglang", "cc"), options.zig
    if path := shutil.which("zig"):
        yield (path, "cc"), options.zig


def _install(target: Target) -> str:
    architecture = TARGETS[target].architecture
    package = "gcc" if architecture == this_cpu().architecture else f"gcc-{architecture.replace('_', '-')}-linux-gnu"
    return f"sudo apt install {package}"


def compile_for(target: Target, source: Path) -> Library:
    """Compile the source to a library beside it. Raises ExportError if the compiler fails or is missing."""
    found, options = find_compiler(target)
    header = source.with_name(header_name(source.name))
    code, *headers = (SourceFile(path.name, files.read_bytes(path)) for path in (source, header))
    try:
        library = compiler.compile_library(found, code, tuple(headers), options, FREESTANDING)
    except CompilerError as error:
        raise ExportError(f"cannot compile for {target}: {error.problem}", error.remedy) from error
    path = source.with_name(library_name(source.name, target))
    files.write_bytes(path, library)
    file = bundle.describe(path)
    return Library(file.file, file.sha256, file.bytes, target, found.version)
