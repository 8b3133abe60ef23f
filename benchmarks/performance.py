"""Run the scripts that measure this project, and write their output to docs/performance.md.

    python benchmarks/performance.py [SCRIPT…]

All scripts run by default. The sections of scripts that do not run are left as they are.
"""

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
SCRIPTS = ("pipeline", "training", "export", "edge", "verify", "sequential", "bench", "busy", "profile_layers",
           "settings", "fleet", "memory")  # fmt: skip
HEAD = """# Performance

Measurements of this project, with their targets. `make benchmarks` runs all of them and writes this page. Times differ
from machine to machine; ratios, of two things that were measured in turn in one run, are comparable.
"""
SECTION = "## {}.py\n"


def parse_sections(page: str) -> dict[str, str]:
    """The sections of the page, by script."""
    starts = {script: page.find(SECTION.format(script)) for script in SCRIPTS}
    present = sorted((start, script) for script, start in starts.items() if start >= 0)
    ends = [*(start for start, _ in present), len(page)][1:]
    return {script: page[start:end].rstrip() + "\n" for (start, script), end in zip(present, ends, strict=True)}


def write_section(script: str) -> str:
    """Run a script; return the section with its docstring's summary, its output, the machine and the versions."""
    machine = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in runtime_versions().items())
    virtual = "a virtual machine with " if machine.virtual else ""
    environment = f"Measured on {virtual}{machine.cores} cores of {machine.cpu}, {machine.kernel}; {versions}."
    path = FOLDER / f"{script}.py"
    summary = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n", 1)[0]
    completed = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    lines = "\n".join(line.rstrip() for line in completed.stdout.strip().splitlines())
    return f"{SECTION.format(script)}\n{summary}\n\n```text\n{lines}\n```\n\n{environment}\n"


def main(*names: str) -> None:
    """Run the scripts, and write the page after each."""
    progress = terminal.Terminal()
    for script in names or SCRIPTS:
        with progress.task(f"{script}.py"):
            section = write_section(script)
        sections = parse_sections(PAGE.read_text() if PAGE.exists() else "") | {script: section}
        page = "\n".join([HEAD, *(sections[name] for name in SCRIPTS if name in sections)])
        files.write_bytes(PAGE, page.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
