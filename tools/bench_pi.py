"""Counts the instructions of an inference of each artifact, on each runtime, on each emulated Raspberry Pi.

    python tools/bench_pi.py build/cnn/bundle            hold them against docs/records/pi-instructions.json
    python tools/bench_pi.py build/cnn/bundle --record   record them there, for docs/raspberry-pi.md

Instructions are not time, but unlike time in emulation they are the board's own: a count that has moved by more than 1%
is another kernel, another runtime or another network. Each is counted twice, and the two must agree within 0.1%.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pi_records
from emulated_pi import counting, releases, userland
from emulated_pi.board import Board
from mnistkit.bundle import Artifact, Bundle, open_bundle
from mnistkit.cli import terminal
from mnistkit.core import records
from mnistkit.core.progress import Progress
from mnistkit.runtimes import default_for
from pi_records import Count, Instructions

AT_ONCE = 2  # an emulator is one process; counts don't mind company
REPEATABLE = 0.001


def count_all(boards: list[Board], bundle: Bundle, advance: Callable[[float], None]) -> tuple[Count, ...]:
    """Every artifact on every board."""
    counter, test_set = counting.plugin(boards[0]), bundle.file(bundle.manifest.test_set)

    def count(job: tuple[Board, Artifact]) -> Count:
        board, artifact = job
        runtime = default_for(artifact.format).name
        counted = counting.instructions(board, counter, runtime, bundle.file(artifact), test_set)
        advance(1)
        return Count(board.name, artifact.file, runtime, counted)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(count, itertools.product(boards, bundle.manifest.artifacts)))


def count_twice(bundle: Bundle, progress: Progress) -> tuple[Instructions, Instructions]:
    """All counts, and all of them again."""
    with progress.task("the emulated boards"):
        boards = [userland.board(name) for name in pi_records.BOARDS]
    versions, jobs = counting.versions(boards[0]), len(boards) * len(bundle.manifest.artifacts)
    with progress.task("counting", 2 * jobs) as advance:
        first, second = (Instructions(versions, count_all(boards, bundle, advance)) for _ in range(2))
    return first, second


def main() -> None:
    """Count, and record it or hold it against the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    if reason := releases.why_not(releases.FOR_COUNTING):
        raise SystemExit(f"no emulated Pi: {reason}")
    first, second = count_twice(open_bundle(arguments.bundle.resolve()), terminal.Terminal())
    apart = pi_records.apart(first, second)
    terminal.show(pi_records.table(second), f"counted twice: {apart:.4%} apart at most")
    if apart > REPEATABLE:
        raise SystemExit(f"two counts of the same are more than {REPEATABLE:.1%} apart")
    if arguments.record:
        records.write(pi_records.RECORD, first)
        return
    changes = list(pi_records.changes(pi_records.recorded(), first))
    terminal.show(*(changes or [f"none has changed by more than {pi_records.TOLERANCE:.0%}"]))
    sys.exit(1 if changes else 0)


if __name__ == "__main__":
    main()
