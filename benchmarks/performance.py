"""Runs every script here that measures the project itself, and writes docs/performance.md of what they print.

python benchmarks/performance.py
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from mnistkit import console
from mnistkit.machine import this_machine
from mnistkit.runtimes import runtime_versions

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"
SCRIPTS = ("pipeline", "training", "export", "edge", "verify", "bench", "settings")
HEAD = """# Performance

What the project measures of itself, with a target beside each figure that has one. `make benchmarks` runs it all and
writes this page. Times of one machine are no promise for another: what counts are the ratios, each of two things that
were measured in turn in one run.
"""


def section(script: str) -> str:
    """What a script says it measures, and what it printed."""
    path = FOLDER / f"{script}.py"
    about = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n", 1)[0]
    done = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    return f"## {script}.py\n\n{about}\n\n```text\n{lines}\n```\n"


def main() -> None:
    """Write the page."""
    machine = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in runtime_versions().items())
    kind = "a virtual machine with " if machine.virtual else ""
    where = f"Measured on {kind}{machine.cores} cores of {machine.cpu}, {machine.kernel}; {versions}.\n"
    progress, sections = console.Terminal(), []
    for script in SCRIPTS:
        with progress.task(f"{script}.py"):
            sections.append(section(script))
    PAGE.write_text("\n".join([HEAD, where, *sections]))


if __name__ == "__main__":
    main()
