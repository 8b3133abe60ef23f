"""Recorded predictions: saved, read without trust, and held against each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import Cli

from mnistkit.core import files
from mnistkit.core.errors import MnistkitError, RecordError
from mnistkit.device.machine import Machine
from mnistkit.verify import predictions
from mnistkit.verify.predictions import ArtifactRun, NotRun, Predictions, PredictionsRecord
from mnistkit.verify.report import compare

IMAGES = 4000


def recorded(*rows: tuple[str, str], seed: int = 1, step: float | None = None, regressions: int = 0) -> Predictions:
    """Answers of (artifact, runtime) on the same images: right but for some confusions and the first `broken`."""
    labels = np.arange(IMAGES) % 10
    answered = labels.copy()
    answered[:regressions] += 1
    answers = np.eye(10, dtype=np.float32)[answered % 10]
    record = PredictionsRecord(
        bundle_sha256="b",
        test_set_sha256="t",
        seed=None,
        machine=Machine(f"CPU {seed}", 2, "aarch64", "Linux"),
        versions={"python": f"3.1{seed}"},
        rows=tuple(ArtifactRun(artifact, "a", "int8", step, runtime, 0.1) for artifact, runtime in rows),
        not_run=(),
    )
    original = np.eye(10, dtype=np.float32)[labels]
    together = np.array([answers] * len(rows), np.float32).reshape(-1, IMAGES, 10)
    return Predictions(record, np.arange(IMAGES), labels, original, together)


def only(made: Predictions, places: NDArray[np.int64]) -> Predictions:
    """Those images alone."""
    arrays = made.indices[places], made.labels[places], made.reference[places], made.probabilities[:, places]
    return Predictions(made.record, *arrays)


def test_what_verify_saves_compares_with_itself_and_across_runtimes(
    mnistkit: Cli, workspace: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    arguments = ("verify", workspace / "bundle", "--limit", 3000)
    assert mnistkit(*arguments, "--runtime", "litert", "--runtime", "onnxruntime", "--save", one).code == 0
    assert mnistkit(*arguments, "--runtime", "tensorflow", "--save", other).code == 0
    assert predictions.load(one).record.machine.cores >= 1

    same = json.loads(mnistkit("compare", one, one, "--json", "-").out)
    assert len(same["pairings"]) == 7
    for pairing in same["pairings"]:
        assert (pairing["images_differ"], pairing["parity"]["largest_change"], pairing["flips"]) == (0, 0, [])
        assert pairing["same_file"]
        assert pairing["parity"]["verdict"] == "PASS"

    outcome = mnistkit("compare", one, other, "--json", tmp_path / "comparison.json")
    assert outcome.code == 0
    assert outcome.out.count("PASS") == 4
    across = json.loads((tmp_path / "comparison.json").read_text())
    assert [pairing["runtimes"] for pairing in across["pairings"]] == [["litert", "tensorflow"]] * 4
    assert across["pairings"][0]["parity"]["largest_change"] < 1e-5
    assert isinstance(across["pairings"][3]["largest_steps"], int)
    assert {(row["artifact"], row["recording"]) for row in across["unpaired"]} == {
        (f"model.{quantization}.onnx", 1) for quantization in ("float32", "dynamic", "int8")
    }


def test_a_recording_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    made = recorded(("a", "litert"), ("b", "litert"))
    predictions.save(tmp_path / "p.npz", made)
    back = predictions.load(tmp_path / "p.npz")
    assert back.record == made.record
    for name in predictions.KEYS[1:]:
        assert (getattr(back, name) == getattr(made, name)).all()


def test_an_artifact_is_paired_on_the_same_runtime_and_else_on_all() -> None:
    here = recorded(("int8", "litert"), ("int8", "tensorflow"), ("float32", "litert"), ("only here", "litert"))
    there = recorded(("int8", "litert"), ("float32", "tensorflow"), ("float32", "tflite-runtime"))
    found = compare(here, there, 1)
    assert [(pairing.artifact, pairing.runtimes) for pairing in found.artifacts] == [
        ("int8", ("litert", "litert")),
        ("float32", ("litert", "tensorflow")),
        ("float32", ("litert", "tflite-runtime")),
    ]
    assert [(row.artifact, row.runtime, row.recording) for row in found.unmatched] == [
        ("int8", "tensorflow", 1),
        ("only here", "litert", 1),
    ]


def test_why_the_other_has_no_answers_is_told(mnistkit: Cli, tmp_path: Path) -> None:
    there = recorded(("int8", "litert"))
    dead = NotRun("int8", "onnxruntime", "onnxruntime died of SIGILL", "try another version", requested=False)
    predictions.save(tmp_path / "here", recorded(("int8", "litert"), ("int8", "onnxruntime")))
    predictions.save(tmp_path / "there", replace(there, record=replace(there.record, not_run=(dead,))))
    outcome = mnistkit("compare", tmp_path / "here", tmp_path / "there")
    assert outcome.code == 0
    assert "int8 on onnxruntime: only in the first: in the other onnxruntime died of SIGILL" in outcome.out
    assert "first: CPU 1, aarch64; second: CPU 1, aarch64" in outcome.out


def test_float32_is_held_to_rounding_as_verify_holds_it() -> None:
    here, there = recorded(("a", "litert")), recorded(("a", "litert"))
    record = replace(here.record, rows=(replace(here.record.rows[0], quantization="float32"),))
    here, there = replace(here, record=record), replace(there, record=record, probabilities=there.probabilities * 0.99)
    assert compare(here, there, 1).verdict == "FAIL"
    assert compare(here, here, 1).verdict == "PASS"


def test_what_is_not_finite_mends_nothing(tmp_path: Path) -> None:
    here = recorded(("a", "litert"))
    invalid = replace(here, probabilities=np.full_like(here.probabilities, np.nan))
    for first, second in ((invalid, here), (here, invalid), (invalid, invalid)):
        assert compare(first, second, 1).verdict == "FAIL"
    huge = replace(here, probabilities=np.full_like(here.probabilities, 3e38))
    assert compare(huge, replace(here, probabilities=-huge.probabilities), 1).verdict == "FAIL"


def test_what_differs_is_counted_and_the_second_is_judged_against_the_first() -> None:
    here, there = (
        recorded(("int8", "litert"), step=1 / 256),
        recorded(("int8", "litert"), step=1 / 256, regressions=100),
    )
    (pairing,) = compare(here, there, 0.2).artifacts
    assert (pairing.images_differ, pairing.largest_steps) == (100, 256)
    assert (pairing.parity.regressions, pairing.parity.fixes, pairing.parity.verdict) == (100, 0, "FAIL")
    assert [flip.index for flip in pairing.flips] == list(range(100))
    (pairing,) = compare(there, here, 0.2).artifacts
    assert (pairing.parity.regressions, pairing.parity.fixes, pairing.parity.verdict) == (0, 100, "PASS")


def test_steps_are_counted_only_where_both_store_in_the_same() -> None:
    here, there = recorded(("int8", "litert"), step=1 / 256), recorded(("int8", "litert"))
    (pairing,) = compare(here, there, 1).artifacts
    assert pairing.largest_steps is None
    odd = recorded(("int8", "litert"), step=1e-320)
    (pairing,) = compare(odd, replace(odd, probabilities=1 - odd.probabilities), 1).artifacts
    assert pairing.largest_steps is None


def test_only_the_images_that_both_answered_count() -> None:
    here, there = recorded(("int8", "litert")), recorded(("int8", "litert"), regressions=10)
    some = np.array([3, 5, 7, 1000])
    found = compare(here, only(there, some), 100)
    assert found.images == 4
    assert [flip.index for flip in found.artifacts[0].flips] == [3, 5, 7]


def test_the_two_machines_and_their_versions_are_told() -> None:
    found = compare(recorded(("a", "litert"), seed=1), recorded(("a", "litert"), seed=2), 1)
    assert [machine.cpu for machine in found.machines] == ["CPU 1", "CPU 2"]
    assert [versions["python"] for versions in found.versions] == ["3.11", "3.12"]


def test_recordings_that_cant_be_compared_are_refused() -> None:
    here = recorded(("a", "litert"))
    elsewhere = replace(here, record=replace(here.record, test_set_sha256="u"))
    fewer_classes = replace(
        here, reference=here.reference[:, :9], probabilities=here.probabilities[..., :9], labels=here.labels % 9
    )
    apart = replace(here, indices=here.indices + IMAGES)
    for other, message in (
        (elsewhere, "different test sets"),
        (fewer_classes, "different test sets"),
        (apart, "no image in common"),
        (recorded(("b", "litert")), "no artifact in common"),
        (replace(here, labels=(here.labels + 1) % 10), "disagree about the labels"),
    ):
        with pytest.raises(RecordError, match=message):
            compare(here, other, 1)


def test_exit_codes_are_those_of_verify(mnistkit: Cli, tmp_path: Path) -> None:
    for name, regressions in (("first", 0), ("same", 0), ("worse", 100), ("unclear", 9)):
        predictions.save(tmp_path / name, recorded(("a", "litert"), regressions=regressions))
    codes = {
        name: mnistkit("compare", tmp_path / "first", tmp_path / name).code for name in ("same", "worse", "unclear")
    }
    assert codes == {"same": 0, "worse": 1, "unclear": 3}
    assert mnistkit("compare", tmp_path / "first", tmp_path / "unclear", "--allow-inconclusive").code == 0
    outcome = mnistkit("compare", tmp_path / "first", tmp_path / "worse", "--show-flips")
    assert outcome.out.count("broken ") > 100


def spoiled(tmp_path: Path, **changes: object) -> Path:
    """A recording with other arrays in it."""
    predictions.save(tmp_path / "good.npz", recorded(("a", "litert")))
    arrays = files.read_npz(tmp_path / "good.npz", predictions.KEYS)
    files.write_npz(tmp_path / "bad.npz", arrays | changes)  # type: ignore[arg-type]
    return tmp_path / "bad.npz"


NOT_FINITE = np.full((IMAGES, 10), np.nan, np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(IMAGES - 1, np.int64)}, f"beside {IMAGES - 1} labels"),
        ({"labels": np.full(IMAGES, 10)}, "labels run from 10 to 10"),
        ({"labels": np.zeros((IMAGES, 1), np.int64)}, "holds no predictions"),
        ({"answers": np.zeros((2, IMAGES, 10), np.float32)}, "answers are"),
        ({"answers": np.zeros((1, IMAGES, 10))}, "answers are float64"),
        ({"original": NOT_FINITE}, "no probabilities"),
        ({"original": np.zeros(IMAGES, np.float32)}, "the original's answers are [4000]"),
        ({"indices": np.zeros(IMAGES, np.int64)}, "out of order"),
        ({"indices": -1 - np.arange(IMAGES)[::-1]}, "out of order"),
        ({"record": np.zeros(5, np.uint8)}, "not a predictions record"),
    ],
)
def test_a_recording_whose_parts_do_not_fit_is_refused(
    mnistkit: Cli, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    outcome = mnistkit("compare", tmp_path / "good.npz", spoiled(tmp_path, **changes))
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_recording_of_a_newer_mnistkit_asks_for_an_upgrade(mnistkit: Cli, tmp_path: Path) -> None:
    predictions.save(tmp_path / "good.npz", recorded(("a", "litert")))
    text = files.read_npz(tmp_path / "good.npz", ("record",))["record"].tobytes()
    newer = np.frombuffer(text.replace(b'"version": 1', b'"version": 2', 1), np.uint8)
    outcome = mnistkit("compare", tmp_path / "good.npz", spoiled(tmp_path, record=newer))
    assert outcome.code == 2
    assert "newer mnistkit" in outcome.err


def test_a_recording_without_answers_comes_back(tmp_path: Path) -> None:
    predictions.save(tmp_path / "none", recorded())
    assert predictions.load(tmp_path / "none").record.rows == ()


def test_a_recording_can_go_to_a_pipe(tmp_path: Path) -> None:
    import os
    import threading

    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    predictions.save(tmp_path / "pipe", recorded(("a", "litert")))
    reader.join()
    assert read[0].startswith(b"PK")
    assert (tmp_path / "pipe").is_fifo()


def test_what_is_not_there_is_told(mnistkit: Cli, tmp_path: Path) -> None:
    outcome = mnistkit("compare", tmp_path / "absent", tmp_path / "absent")
    assert outcome.code == 2
    assert "cannot read" in outcome.err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.integers(0, 2**20), st.binary(max_size=8), st.booleans())
def test_a_recording_that_was_cut_or_overwritten_is_refused_or_harmless(
    tmp_path: Path, place: int, junk: bytes, cut: bool
) -> None:
    good = tmp_path / "good.npz"
    if not good.exists():
        predictions.save(good, only(recorded(("a", "litert")), np.arange(50)))
    content = bytearray(good.read_bytes())
    place %= len(content)
    content[place : None if cut else place + len(junk)] = junk
    (tmp_path / "spoiled.npz").write_bytes(content)
    try:
        found = predictions.load(tmp_path / "spoiled.npz")
    except MnistkitError as error:
        assert "\n" not in str(error)  # noqa: PT017  # a changed date in the archive, say, harms nothing
    else:
        whole = predictions.load(good)
        assert found.record == whole.record
        assert (found.probabilities == whole.probabilities).all()
