"""The recorded cost of an inference on each emulated board, and its table in docs/raspberry-pi.md."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import markdown_table
from mnistkit.core import records

RECORD = Path(__file__).parent.parent / "docs" / "records" / "pi-instructions.json"
BOARDS = {"pi3": "Pi 3 (Cortex-A53)", "pi4": "Pi 4 (Cortex-A72)", "pi5": "Pi 5 (Cortex-A76)"}
TOLERANCE = 0.01  # relative; a smaller difference is no change

Key = tuple[str, str, str]  # board, artifact, runtime


@dataclass(frozen=True)
class Count:
    """The instruction count of an artifact on a runtime and a board."""

    board: str
    artifact: str
    runtime: str
    instructions: int  # of one inference on one thread: only the call of the runtime, from Python
    cycles: int | None = None  # estimated; None if LLVM has no model of the processor


@dataclass(frozen=True)
class InstructionCounts(records.Record, schema="instructions", version=2):
    """Instruction counts, and the versions of the tools that they were made with."""

    versions: dict[str, str]
    counts: tuple[Count, ...]

    def by_key(self) -> dict[Key, int]:
        """The counts by board, artifact and runtime."""
        return {(count.board, count.artifact, count.runtime): count.instructions for count in self.counts}


def load_baseline() -> InstructionCounts:
    """The committed counts; raises StorageError or RecordError if they can't be read."""
    return records.read(RECORD, InstructionCounts, "create it with 'python tools/bench_pi.py BUNDLE --record'")


def find_changes(baseline: InstructionCounts, current: InstructionCounts) -> Iterator[str]:
    """Describe each count that is new, missing or beyond the tolerance, then the versions that differ if there is one.

    Yields nothing if all counts are within the tolerance.
    """
    before, after = baseline.by_key(), current.by_key()
    descriptions = [_describe_change(key, before.get(key), after.get(key)) for key in {**before, **after}]
    changes = [description for description in descriptions if description]
    if not changes:
        return
    yield from changes
    for name in {**baseline.versions, **current.versions}:
        old, new = baseline.versions.get(name, "none"), current.versions.get(name, "none")
        if old != new:
            yield f"{name}: {old} before, {new} now"


def _describe_change(key: Key, before: int | None, after: int | None) -> str | None:
    """The change of one count; None if it is within the tolerance."""
    board, artifact, runtime = key
    name = f"{artifact} on {runtime}, {board}"
    if before is None:
        return f"{name}: {after:,} now, not counted before"
    if after is None:
        return f"{name}: {before:,} before, not counted now"
    change = after / before - 1
    return f"{name}: {before:,} before, {after:,} now ({change:+.1%})" if abs(change) > TOLERANCE else None


def max_deviation(first: InstructionCounts, second: InstructionCounts) -> float:
    """The largest relative difference between two counts of the same inference."""
    counts = second.by_key()
    return max(abs(counts[key] / count - 1) for key, count in first.by_key().items())


def counts_table(record: InstructionCounts) -> str:
    """A Markdown table with one line for each artifact and runtime, and columns for each board.

    The last columns are the estimated cycles on the boards that have an estimate.
    """
    counts = {(count.board, count.artifact, count.runtime): count for count in record.counts}
    estimated = [board for board in BOARDS if any(count.board == board and count.cycles for count in record.counts)]
    columns = *BOARDS.values(), *(f"{BOARDS[board]}, cycles" for board in estimated)
    rows = (
        (
            f"`{artifact}`",
            runtime,
            *(f"{counts[board, artifact, runtime].instructions:,}" for board in BOARDS),
            *(f"{counts[board, artifact, runtime].cycles:,}" for board in estimated),
        )
        for artifact, runtime in dict.fromkeys((count.artifact, count.runtime) for count in record.counts)
    )
    table = markdown_table.table(("artifact", "runtime", *columns), rows, text_columns=2)
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return f"{table}\nCounted with {versions}.\n"
