"""Writes anew what is generated in the docs: help texts, JSON Schemas, and figures from the records of a real run.

    python tools/docs.py                     write all blocks anew
    python tools/docs.py --record build/cnn  take that workspace's records over first

A block stands between `<!-- generated: KIND ARGUMENT -->` and `<!-- end -->`. A test fails when one has drifted.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
from pathlib import Path

import click
from rich.console import Console

import pi_records
import recipe_records
import schemas
from mnistkit.bench_report import BenchReport
from mnistkit.cli import main as cli
from mnistkit.cli.tables import verify as verify_tables
from mnistkit.cli.tables.training import run_line
from mnistkit.core import records
from mnistkit.training.train import History, TrainingRun
from mnistkit.verify.report import VerifyReport
from mnistkit_bench import tables as bench_tables

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "docs" / "records"
RECORD_FILES = ("run.json", "history.json", "verify.json", "bench.json")
BLOCK = re.compile(r"(<!-- generated: (\w+) ?([^\n]*?) ?-->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page that may hold a block."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def generated(text: str) -> str:
    """The page's text, with every block as it must be now."""
    return BLOCK.sub(lambda found: f"{found[1]}{WRITERS[found[2]](found[3])}{found[4]}", text)


def help_text(command: str) -> str:
    """What `mnistkit COMMAND --help` prints, 80 columns wide."""
    context = click.Context(cli.cli, info_name="mnistkit", terminal_width=80, **cli.cli.context_settings)
    found: click.Command = cli.cli
    for name in command.split():
        child = found.get_command(context, name) if isinstance(found, click.Group) else None
        if not child:
            raise SystemExit(f"there is no command {command!r}")
        found, context = child, click.Context(child, parent=context, info_name=name, terminal_width=80)
    return f"```text\n{found.get_help(context)}\n```\n"


def transcript(workspace: str) -> str:
    """What `make` printed of the recorded run."""
    folder = RECORDS / workspace
    history = records.read(folder / "history.json", History, "")
    run = records.read(folder / "run.json", TrainingRun, "")
    lines = [f"epoch {epoch + 1}/{run.epochs}  {history.line(epoch)}" for epoch in range(run.epochs)]
    console = Console(file=io.StringIO(), width=90, highlight=False, markup=False)
    with console.capture() as capture:
        console.print(run_line(run), soft_wrap=True)
        console.print(verify_tables.verify_table(records.read(folder / "verify.json", VerifyReport, "")))
        report = records.read(folder / "bench.json", BenchReport, "")
        console.print(bench_tables.bench_table(report), *bench_tables.bench_remarks(report), sep="\n", soft_wrap=True)
    lines += [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(["```text", "$ make", *lines, "```", ""])


def recipes_table(_: str) -> str:
    """What the recorded runs of the recipes came to."""
    return recipe_records.table()


def schema_files() -> dict[Path, str]:
    """The JSON Schema of every kind of record, by the file that it stands in."""
    return {
        ROOT / "docs" / "schemas" / f"{kind.schema}.json": json.dumps(schemas.schema(kind), indent=1) + "\n"
        for kind in schemas.RECORDS
    }


def search_table(_: str) -> str:
    """What the recorded runs of the search came to."""
    return recipe_records.search_table()


def instructions_table(_: str) -> str:
    """What the recorded counts on emulated boards came to."""
    return pi_records.table(pi_records.recorded())


WRITERS = {
    "help": help_text,
    "transcript": transcript,
    "recipes": recipes_table,
    "search": search_table,
    "instructions": instructions_table,
}


def main() -> None:
    """Take over a run's records where one is named, and write all blocks anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="WORKSPACE")
    workspace: Path | None = parser.parse_args().record
    if workspace:
        folder = RECORDS / workspace.name
        folder.mkdir(parents=True, exist_ok=True)
        for name in RECORD_FILES:
            shutil.copy(workspace / name, folder / name)
        report = records.read(folder / "bench.json", BenchReport, "")
        records.write(folder / "bench.json", report.without_raw_samples())
    for page in pages():
        page.write_text(generated(page.read_text()))
    for path, text in schema_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
