"""Counts the instructions of an inference of each artifact on each emulated Raspberry Pi.

    python tools/bench_pi.py build/cnn/bundle            compare the counts with docs/records/pi-instructions.json
    python tools/bench_pi.py build/cnn/bundle --record   write the counts to that file, for docs/raspberry-pi.md

Instruction counts are not latencies, but unlike the latency of an emulator they are those of the board. A count that
differs by more than 1% indicates another kernel, another runtime version or another network. Everything is counted
twice, and the two counts must agree within 0.1%.
"""

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
from pi_records import Count, InstructionCounts

EMULATORS = 2  # that run at the same time; counts do not depend on it
REPEATABILITY = 0.001  # relative


def count_all(boards: list[Board], bundle: Bundle, advance: Callable[[float], None]) -> tuple[Count, ...]:
    """Count every artifact on every board."""
    plugin, test_set = counting.build_plugin(boards[0]), bundle.file(bundle.manifest.test_set)

    def count(job: tuple[Board, Artifact]) -> Count:
        board, artifact = job
        runtime = default_for(artifact.format).name
        instructions = counting.count_instructions(board, plugin, runtime, bundle.file(artifact), test_set)
        advance(1)
        return Count(board.name, artifact.file, runtime, instructions)

    with ThreadPoolExecutor(EMULATORS) as pool:
        return tuple(pool.map(count, itertools.product(boards, bundle.manifest.artifacts)))


def count_twice(bundle: Bundle, progress: Progress) -> tuple[InstructionCounts, InstructionCounts]:
    """Count everything twice."""
    with progress.task("building the emulated boards"):
        boards = [userland.get_board(name) for name in pi_records.BOARDS]
    versions, jobs = counting.tool_versions(boards[0]), len(boards) * len(bundle.manifest.artifacts)
    with progress.task("counting instructions", 2 * jobs) as advance:
        first, second = (InstructionCounts(versions, count_all(boards, bundle, advance)) for _ in range(2))
    return first, second


def main() -> None:
    """Count, and record the counts or compare them with the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    if reason := releases.unavailable_reason(releases.COUNTING_PROGRAMS):
        raise SystemExit(f"cannot emulate a Pi: {reason}")
    first, second = count_twice(open_bundle(arguments.bundle.resolve()), terminal.Terminal())
    deviation = pi_records.max_deviation(first, second)
    terminal.show(pi_records.counts_table(second), f"largest difference between the two counts: {deviation:.4%}")
    if deviation > REPEATABILITY:
        raise SystemExit(f"the two counts differ by more than {REPEATABILITY:.1%}")
    if arguments.record:
        records.write(pi_records.RECORD, first)
        return
    changes = list(pi_records.find_changes(pi_records.load_baseline(), first))
    terminal.show(*(changes or [f"no count changed by more than {pi_records.TOLERANCE:.0%}"]))
    sys.exit(1 if changes else 0)


if __name__ == "__main__":
    main()
