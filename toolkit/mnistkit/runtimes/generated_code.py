"""The files of a C artifact, and the shared library that runs here: compiled here, or else prebuilt."""

from dataclasses import dataclass
from pathlib import Path

from mnistkit.bundle import header_name, library_name
from mnistkit.core import files
from mnistkit.core.cpu import Cpu, this_cpu
from mnistkit.core.errors import MissingCompilerError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.runtimes import library_cache, trust
from mnistkit.runtimes.compiler import INSTALL, SourceFile, compile_library, find_compiler, native_options
from mnistkit.runtimes.targets import TARGETS, best_target


@dataclass(frozen=True)
class Library:
    """A shared library in memory."""

    name: str
    content: bytes


def get_library(source: Path, *, trust_code: bool, progress: Progress = SILENT) -> Library:
    """The library of the C artifact at `source`, compiled unless the cache has it, or prebuilt without a compiler.

    Raises UntrustedCodeError if the code was made on another machine and `trust_code` is not set, MissingCompilerError
    if there is neither a compiler nor a library for this processor, CompilerError if the compiler fails, StorageError
    if a file can't be read or written.
    """
    cpu = this_cpu()
    try:
        compiler = find_compiler()
    except MissingCompilerError:
        return _prebuilt(source, cpu, trust_code=trust_code)
    code, header = (
        SourceFile(path.name, files.read_bytes(path)) for path in (source, source.with_name(header_name(source.name)))
    )
    trust.check((code.content, header.content), trust_code=trust_code)
    options = native_options(cpu.architecture)

    def compile() -> bytes:
        with progress.task(f"compiling {source.name}"):
            return compile_library(compiler, code, (header,), options)

    texts = (*compiler.command, compiler.version, cpu.identity, *options)
    identity = (code.content, header.content, *(text.encode() for text in texts))
    return Library(source.name, library_cache.get(identity, compile))


def _prebuilt(source: Path, cpu: Cpu, *, trust_code: bool) -> Library:
    """The prebuilt library that is the fastest on this processor."""
    target = best_target(cpu, [name for name in TARGETS if source.with_name(library_name(source.name, name)).is_file()])
    if target is None:
        own = best_target(cpu)
        advice = f", or export the model with --target {own}" if own else ""
        raise MissingCompilerError("no C compiler is installed", f"{INSTALL}{advice}")
    path = source.with_name(library_name(source.name, target))
    content = files.read_bytes(path)
    trust.check((content,), trust_code=trust_code)
    return Library(path.name, content)
