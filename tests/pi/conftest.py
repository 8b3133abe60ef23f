"""What the tests on emulated boards share: the boards, and the answers that they and this machine give."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pi.cases import Answered, Case
from support import ROOT

from emulated_pi import releases, userland
from emulated_pi.board import Board
from mnistkit.cli import main
from mnistkit.verify import predictions
from mnistkit.verify.predictions import Predictions

BUNDLE = ROOT / "build" / "cnn" / "bundle"
RUNTIMES = "--runtime", "litert", "--runtime", "onnxruntime"


@pytest.fixture(scope="session")
def cnn() -> Path:
    """The bundle of the CNN, as `make export` makes it: trained, not a sketch. Not to be changed."""
    if not (BUNDLE / "manifest.json").exists():
        pytest.skip(f"{BUNDLE} is missing (make export)")
    return BUNDLE


@pytest.fixture(scope="session")
def board() -> Callable[[str, str], Board]:
    """The board of a name and a release, built where it is not yet."""
    if reason := releases.why_not():
        pytest.skip(f"no emulated Pi: {reason}")
    return cache(userland.board)


@pytest.fixture(scope="session")
def recorded(
    board: Callable[[str, str], Board], cnn: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case], Predictions]:
    """What `mnistkit verify --save` recorded on a board; it must have passed there."""

    def record(case: Case) -> Predictions:
        saved = tmp_path_factory.mktemp("there") / "answers.npz"
        done = board(case.board, case.release).run("mnistkit", "verify", cnn, *asked(case.images), "--save", saved)
        assert done.returncode == 0, done.stdout + done.stderr
        return predictions.load(saved)

    return cache(record)


@pytest.fixture(scope="session")
def recorded_here(cnn: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int | None], Predictions]:
    """The same on this machine, with the runtimes that boards have."""

    def record(images: int | None) -> Predictions:
        saved = tmp_path_factory.mktemp("here") / "answers.npz"
        assert main.run(["verify", str(cnn), *RUNTIMES, *asked(images), "--save", str(saved)]) == 0
        return predictions.load(saved)

    return cache(record)


def asked(images: int | None) -> tuple[str, ...]:
    """So many; that they are too few to settle the margin is no matter here."""
    return () if images is None else ("--limit", str(images), "--allow-inconclusive")


@pytest.fixture
def answered(
    recorded: Callable[[Case], Predictions], recorded_here: Callable[[int | None], Predictions]
) -> Callable[[Case], list[Answered]]:
    """Each artifact that ran on the board beside the same one here; tflite-runtime's beside LiteRT's."""

    def pair(case: Case) -> list[Answered]:
        here, there = recorded_here(case.images), recorded(case)
        ours = {row.artifact: answers for row, answers in zip(here.record.rows, here.probabilities, strict=True)}
        return [
            Answered(row.artifact, row.quantization, row.runtime, ours[row.artifact], answers)
            for row, answers in zip(there.record.rows, there.probabilities, strict=True)
        ]

    return pair
