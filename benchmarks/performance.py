"""Runs the scripts here that measure the project itself, and writes what they print into docs/performance.md.

    python benchmarks/performance.py [SCRIPT…]

Without names it runs them all; of a script that isn't named, what the page says of it stays.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from mnistkit.cli import terminal
from mnistkit.core import files
from mnistkit.device.machine import this_machine
from mnistkit.runtimes import runtime_versions

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"
SCRIPTS = ("pipeline", "training", "export", "edge", "verify", "bench", "settings", "fleet")
HEAD = """# Performance

What the project measures of itself, with a target beside each figure that has one. `make benchmarks` runs it all and
writes this page. Times of one machine are no promise for another: what counts are the ratios, each of two things that
were measured in turn in one run.
"""
SECTION = "## {}.py\n"


def written(page: str) -> dict[str, str]:
    """The sections of the page, by script."""
    starts = {script: page.find(SECTION.format(script)) for script in SCRIPTS}
    there = sorted((start, script) for script, start in starts.items() if start >= 0)
    ends = [*(start for start, _ in there), len(page)][1:]
    return {script: page[start:end].rstrip() + "\n" for (start, script), end in zip(there, ends, strict=True)}


def section(script: str) -> str:
    """What a script says it measures, on what, and what it printed."""
    machine = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in runtime_versions().items())
    kind = "a virtual machine with " if machine.virtual else ""
    where = f"Measured on {kind}{machine.cores} cores of {machine.cpu}, {machine.kernel}; {versions}."
    path = FOLDER / f"{script}.py"
    about = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n", 1)[0]
    done = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    return f"{SECTION.format(script)}\n{about}\n\n```text\n{lines}\n```\n\n{where}\n"


def main(*names: str) -> None:
    """Write the page anew after each script."""
    progress = terminal.Terminal()
    for script in names or SCRIPTS:
        with progress.task(f"{script}.py"):
            found = section(script)
        sections = written(PAGE.read_text() if PAGE.exists() else "") | {script: found}
        page = "\n".join([HEAD, *(sections[name] for name in SCRIPTS if name in sections)])
        files.write_bytes(PAGE, page.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
