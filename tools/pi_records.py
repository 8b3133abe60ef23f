"""The instructions of an inference on each emulated board, as recorded, and the table in docs/raspberry-pi.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mnistkit.core import records

RECORD = Path(__file__).parent.parent / "docs" / "records" / "pi-instructions.json"
BOARDS = {"pi3": "Pi 3 (Cortex-A53)", "pi4": "Pi 4 (Cortex-A72)", "pi5": "Pi 5 (Cortex-A76)"}
Key = tuple[str, str, str]
TOLERANCE = 0.01  # beyond which a count has changed


@dataclass(frozen=True)
class Count:
    """One artifact on one runtime on one board."""

    board: str
    artifact: str
    runtime: str
    instructions: int  # of an inference, on one thread, the runtime's call from Python alone

    @property
    def key(self) -> Key:
        """What it is a count of."""
        return self.board, self.artifact, self.runtime


@dataclass(frozen=True)
class Instructions(records.Record):
    """What was counted, with which versions."""

    schema: ClassVar[str] = "instructions"
    version: ClassVar[int] = 1

    versions: dict[str, str]
    counts: tuple[Count, ...]


def recorded() -> Instructions:
    """The committed baseline."""
    return records.read(RECORD, Instructions, "make it with 'python tools/bench_pi.py BUNDLE --record'")


def changes(old: Instructions, new: Instructions) -> Iterator[str]:
    """What differs by more than the tolerance, or is on one side alone; and beside that, the versions that do."""
    before, after = by_key(old), by_key(new)
    told = [line for key in dict.fromkeys([*before, *after]) if (line := _change(key, before, after))]
    yield from told
    for name in dict.fromkeys([*old.versions, *new.versions]) if told else ():
        if (was := old.versions.get(name, "none")) != (now := new.versions.get(name, "none")):
            yield f"{name}: {was} before, {now} now"


def _change(key: Key, before: dict[Key, int], after: dict[Key, int]) -> str | None:
    board, artifact, runtime = key
    name = f"{artifact} on {runtime}, {board}"
    if key not in after:
        return f"{name}: {before[key]:,} before, not counted now"
    if key not in before:
        return f"{name}: {after[key]:,} now, not counted before"
    change = after[key] / before[key] - 1
    if abs(change) <= TOLERANCE:
        return None
    return f"{name}: {before[key]:,} before, {after[key]:,} now ({change:+.1%})"


def apart(one: Instructions, other: Instructions) -> float:
    """The largest difference between two counts of the same, as a share."""
    first, second = by_key(one), by_key(other)
    return max(abs(second[key] / count - 1) for key, count in first.items())


def by_key(record: Instructions) -> dict[Key, int]:
    """The counts, by what they are of."""
    return {count.key: count.instructions for count in record.counts}


def table(record: Instructions) -> str:
    """One line an artifact and runtime, one column a board; in Markdown."""
    found = by_key(record)
    lines = [f"| artifact | runtime |{''.join(f' {name} |' for name in BOARDS.values())}"]
    lines.append(f"|---|---|{'--:|' * len(BOARDS)}")
    for artifact, runtime in dict.fromkeys((count.artifact, count.runtime) for count in record.counts):
        cells = "".join(f" {found[board, artifact, runtime]:,} |" for board in BOARDS)
        lines.append(f"| `{artifact}` | {runtime} |{cells}")
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return "\n".join([*lines, "", f"Counted with {versions}.", ""])
