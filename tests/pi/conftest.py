"""Fixtures of the tests on emulated boards: the boards, and predictions on them and on this machine."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pi.cases import BoardFactory, Case, ComparePredictions, PredictionPair
from support import FAST

from emulated_pi import releases, userland
from mnistkit.cli import main
from mnistkit.verify import predictions
from mnistkit.verify.predictions import Predictions


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured."""
    passed = terminalreporter.stats.get("passed", [])
    costs = [value for report in passed for name, value in report.user_properties if name == "cost"]
    if costs:
        terminalreporter.section("cost of one inference of the generated C")
        terminalreporter.write_line("\n".join(sorted(costs)))


@pytest.fixture(scope="session")
def cnn_bundle(workspace: Path) -> Path:
    """The bundle of the CNN with the committed weights. Read-only."""
    return workspace / "bundle"


@pytest.fixture(scope="session")
def board() -> BoardFactory:
    """A function that returns the board of a name and a release, built if necessary."""
    if reason := releases.unavailable_reason():
        pytest.skip(f"cannot emulate a Pi: {reason}")
    return cache(userland.get_board)


@pytest.fixture(scope="session")
def board_predictions(
    board: BoardFactory, cnn_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case], Predictions]:
    """A function that runs `mnistkit verify` on a board, requires that it passes, and returns its predictions."""

    def verify(case: Case) -> Predictions:
        path = tmp_path_factory.mktemp("board") / "predictions.npz"
        options = *limit(case.images), "--save-predictions", path
        result = board(case.board, case.release).run("mnistkit", "verify", cnn_bundle, *options)
        assert result.returncode == 0, result.stdout + result.stderr
        return predictions.load(path)

    return cache(verify)


@pytest.fixture(scope="session")
def machine_predictions(
    cnn_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int | None], Predictions]:
    """A function that runs `mnistkit verify` on this machine, with the runtimes of a 64-bit board."""

    def verify(images: int | None) -> Predictions:
        path = tmp_path_factory.mktemp("machine") / "predictions.npz"
        options = *FAST, *limit(images), "--save-predictions", str(path)
        assert main.run(["verify", str(cnn_bundle), *options]) == 0
        return predictions.load(path)

    return cache(verify)


def limit(images: int | None) -> tuple[str, ...]:
    """The options that evaluate this number of images, which may be too few for a verdict."""
    return () if images is None else ("--limit", str(images), "--allow-inconclusive")


@pytest.fixture
def compare_predictions(
    board_predictions: Callable[[Case], Predictions], machine_predictions: Callable[[int | None], Predictions]
) -> ComparePredictions:
    """A function that pairs each artifact on the board with the same artifact here; tflite-runtime with LiteRT."""

    def pair(case: Case) -> list[PredictionPair]:
        machine, board = machine_predictions(case.images), board_predictions(case)
        by_artifact = {
            row.artifact: probabilities
            for row, probabilities in zip(machine.record.rows, machine.probabilities, strict=True)
        }
        return [
            PredictionPair(row.artifact, row.quantization, row.runtime, by_artifact[row.artifact], probabilities)
            for row, probabilities in zip(board.record.rows, board.probabilities, strict=True)
        ]

    return pair
