"""Counts the instructions of an inference of each TFLite and ONNX artifact on each emulated Raspberry Pi.

    python tools/bench_pi.py build/cnn/bundle            compare the counts with docs/records/pi-instructions.json
    python tools/bench_pi.py build/cnn/bundle --record   write the counts to that file, for docs/raspberry-pi.md

Instruction counts are not latencies, but unlike the latency of an emulator they are those of the board. A count that
differs by more than 1% indicates another kernel, another runtime version or another network. Everything is counted
twice, and the two counts must agree within 0.1%. Cycles are estimated from the executed instructions. C artifacts are
counted by record_c.py.
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
from instructions import blocks, cycles, inferences
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
    plugin, test_set = blocks.build_plugin(userland.BUILD), bundle.file(bundle.manifest.test_set)

    def count(job: tuple[Board, Artifact]) -> Count:
        board, artifact = job
        runtime = default_for(artifact.format).name
        cost = inferences.measure(counting.machine(board), plugin, runtime, bundle.file(artifact), test_set)
        advance(1)
        return Count(board.name, artifact.file, runtime, cost.instructions, cost.cycles)

    with ThreadPoolExecutor(EMULATORS) as pool:
        return tuple(pool.map(count, itertools.product(boards, runtime_artifacts(bundle))))


def runtime_artifacts(bundle: Bundle) -> list[Artifact]:
    """The artifacts that are counted: without C, which the board would compile."""
    return [artifact for artifact in bundle.manifest.artifacts if artifact.format != "c"]


def count_twice(bundle: Bundle, progress: Progress) -> tuple[InstructionCounts, InstructionCounts]:
    """Count everything twice."""
    with progress.task("building the emulated boards"):
        boards = [userland.get_board(name) for name in pi_records.BOARDS]
    versions, jobs = counting.tool_versions(boards[0]), len(boards) * len(runtime_artifacts(bundle))
    with progress.task("counting instructions", 2 * jobs) as advance:
        first, second = (InstructionCounts(versions, count_all(boards, bundle, advance)) for _ in range(2))
    return first, second


def main() -> None:
    """Count, and record the counts or compare them with the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    if reason := releases.unavailable_reason(releases.COUNTING_PROGRAMS | cycles.PROGRAMS):
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
