"""Regenerates the generated parts of the docs: help texts, JSON Schemas, and tables of recorded results.

    python tools/docs.py                     regenerate everything
    python tools/docs.py --record build/cnn  copy the records of that workspace to docs/records/cnn first

A generated block stands between `<!-- generated: KIND ARGUMENT -->` and `<!-- end -->`. A test fails if a block is
outdated.
"""

import argparse
import contextlib
import importlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import click
from click.testing import CliRunner

import c_records
import markdown_table
import operator_records
import pi_records
import recipe_records
import schemas
from mnistkit.bench_report import BenchReport
from mnistkit.bundle import Bundle, Manifest
from mnistkit.cli import main as cli
from mnistkit.cli import terminal
from mnistkit.cli.tables import verify as verify_tables
from mnistkit.cli.tables.training import run_line
from mnistkit.core import records
from mnistkit.training.train import History, TrainingRun
from mnistkit.verify.report import VerifyReport
from mnistkit_bench import tables as bench_tables
from mnistkit_bench.recommendation import Limits, recommend
from mnistkit_export import tables as export_tables
from stress import StressRecord

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "docs" / "records"
BLOCK = re.compile(r"(<!-- generated: (\w+) ?([^\n]*?) ?-->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page that may have generated blocks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def regenerate(text: str) -> str:
    """The text of a page with every generated block up to date."""
    return BLOCK.sub(lambda block: f"{block[1]}{WRITERS[block[2]](block[3])}{block[4]}", text)


def schema_files() -> dict[Path, str]:
    """The path and the content of every file in docs/schemas."""
    return {
        ROOT / "docs" / "schemas" / f"{kind.schema}.json": json.dumps(schemas.schema(kind), indent=1) + "\n"
        for kind in schemas.RECORDS
    }


def commands() -> list[str]:
    """The names of all commands and subcommands, in the order of `COMMANDS`."""
    names = []
    for name, module in cli.COMMANDS.items():
        command = importlib.import_module(module).command
        subcommands = command.commands if isinstance(command, click.Group) else ()
        names += [name, *(f"{name} {subcommand}" for subcommand in subcommands)]
    return names


def help_text(command: str) -> str:
    """The output of `mnistkit COMMAND --help`, 80 columns wide."""
    result = CliRunner().invoke(cli.cli, [*command.split(), "--help"], prog_name="mnistkit", terminal_width=80)
    if result.exit_code:
        raise SystemExit(f"cannot print the help of {command!r}: {result.output}")
    return f"```text\n{result.output}```\n"


def transcript(workspace: str) -> str:
    """The output of `make` for a recorded workspace."""
    folder = RECORDS / workspace
    history = records.read(folder / "history.json", History, "")
    run = records.read(folder / "run.json", TrainingRun, "")
    verify_report = records.read(folder / "verify.json", VerifyReport, "")
    bench_report = records.read(folder / "bench.json", BenchReport, "")
    recommendation = recommend(verify_report, bench_report, Limits())
    epochs = (f"epoch {epoch + 1}/{run.epochs}  {history.format_epoch(epoch)}" for epoch in range(run.epochs))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        terminal.show(*epochs, run_line(run))
        terminal.show(*verify_tables.verify_tables(verify_report), *verify_tables.remarks(verify_report))
        terminal.show(bench_tables.bench_table(bench_report), *bench_tables.bench_remarks(bench_report))
        terminal.show(
            bench_tables.recommendation_table(recommendation), bench_tables.recommendation_line(recommendation)
        )
    return f"```text\n$ make\n{output.getvalue()}```\n"


def example(workspace: str) -> str:
    """The output of export and verify for a recorded bundle."""
    folder = RECORDS / workspace
    manifest = records.read(folder / "manifest.json", Manifest, "")
    report = records.read(folder / "verify.json", VerifyReport, "")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        terminal.show(export_tables.bundle_table(Bundle(Path(f"{workspace}-bundle"), manifest, "")))
        terminal.show(*verify_tables.verify_tables(report), *verify_tables.remarks(report))
    return f"```text\n{output.getvalue()}```\n"


def stress_table() -> str:
    """A row for each attack."""
    record = records.read(RECORDS / "stress.json", StressRecord, "")
    rows = ((outcome.attack, f"{outcome.runs:,}", str(len(outcome.failures))) for outcome in record.outcomes)
    return markdown_table.table(("attack", "runs", "failures"), rows)


C_TABLES = {
    "instructions": c_records.instructions_table,
    "cycles": c_records.cycles_table,
    "sizes": c_records.sizes_table,
    "microcontrollers": c_records.microcontrollers_table,
}
WRITERS: dict[str, Callable[[str], str]] = {
    "help": help_text,
    "transcript": transcript,
    "recipes": lambda _: recipe_records.table(),
    "example": example,
    "operators": lambda _: operator_records.table(),
    "stress": lambda _: stress_table(),
    "search": lambda _: recipe_records.search_table(),
    "instructions": lambda _: pi_records.counts_table(pi_records.load_baseline()),
    "c": lambda table: C_TABLES[table](c_records.load()),
}


def copy_records(workspace: Path) -> None:
    """Copy the records of a workspace to docs/records, without the raw samples of its bench.json."""
    folder = RECORDS / workspace.name
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", "history.json", "verify.json"):
        shutil.copy(workspace / name, folder / name)
    report = records.read(workspace / "bench.json", BenchReport, "")
    records.write(folder / "bench.json", report.without_raw_samples())


def main() -> None:
    """Copy the records of a workspace if one is given, and regenerate everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="WORKSPACE")
    if workspace := parser.parse_args().record:
        copy_records(workspace)
    for page in pages():
        page.write_text(regenerate(page.read_text()))
    for path, text in schema_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
