"""A model, its data set and its bundle must belong together: else a PASS would mean nothing."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import FAST, Cli, edit_manifest

from mnistkit.bundle import open_bundle
from mnistkit.core import files, records
from mnistkit.core.errors import ModelError
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, loading
from mnistkit.training.train import TrainingRun
from mnistkit_export import sanity

QUICK = "--format", "tflite", "--quantize", "float32"


@pytest.fixture(scope="session")
def wrong_digits(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits with other labels, as another data set would have."""
    data = dataset.load(few_digits)
    rng = np.random.default_rng(0)
    labels = {"y_train": rng.permutation(data.y_train), "y_test": rng.permutation(data.y_test)}
    path = tmp_path_factory.mktemp("wrong") / "wrong.npz"
    files.write_npz(path, labels | {"x_train": data.x_train[:], "x_test": data.x_test[:]})
    return path


def test_accuracy_near_chance_is_refused_and_the_remedy_works(
    mnistkit: Cli, workspace: Path, wrong_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keras_models.save(loading.load(workspace / "model.keras"), tmp_path / "my model.keras")
    refused = mnistkit("export", tmp_path / "my model.keras", "--data", wrong_digits)
    assert refused.code == 2
    assert "always predicting the largest class gives" in refused.err.splitlines()[-1]
    assert not (tmp_path / "bundle").exists()
    command = refused.err.rpartition("accept the accuracy: ")[2]
    accepted = mnistkit(*shlex.split(command)[1:], *QUICK)
    assert accepted.code == 0, accepted.err
    assert open_bundle(tmp_path / "bundle").manifest.provenance.source_model.accuracy < 0.2


@pytest.mark.parametrize(
    ("counts", "accuracy", "loss", "accepted"),
    [
        ([10] * 10, 0.149, 2.2, False),
        ([10] * 10, 0.151, 2.2, True),
        ([10] * 10, 0.2, 2.31, False),  # the shares of the classes have a loss of log(10) = 2.303
        ([10] * 10, 0.49, 2.31, False),
        ([10] * 10, 0.51, 8.0, True),
        ([50, 0, 50], 0.74, 0.1, False),
        ([50, 0, 50], 0.76, 0.1, True),
        ([90, 10], 0.94, 0.1, False),  # half of the errors of always predicting the first class
        ([90, 10], 0.96, 0.1, True),
    ],
)
def test_limits_follow_from_the_shares_of_the_classes(
    counts: list[int], accuracy: float, loss: float, accepted: bool
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    data = Dataset("made", images, labels, images, labels)
    if accepted:
        sanity.check_accuracy(accuracy, loss, labels, "test", data, Path("model.keras"))
    else:
        with pytest.raises(ModelError, match="accept the accuracy"):
            sanity.check_accuracy(accuracy, loss, labels, "test", data, Path("model.keras"))


@pytest.fixture
def run(trained: Path) -> TrainingRun:
    return records.read(trained / "run.json", TrainingRun, "")


def test_run_beside_the_model_must_match(
    mnistkit: Cli, workspace: Path, run: TrainingRun, few_digits: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.keras"
    model.write_bytes((workspace / "model.keras").read_bytes())
    arguments = "export", model, "--data", few_digits, *QUICK
    records.write(tmp_path / "run.json", replace(run, test_accuracy=0.8))
    result = mnistkit(*arguments)
    assert (result.code, "but 80.00% in run.json beside it" in result.err) == (2, True), result.err
    other = replace(run, data="letters", data_sha256="0" * 64, data_path="letters.npz")
    records.write(tmp_path / "run.json", other)
    result = mnistkit(*arguments)
    assert result.code == 2
    assert "was trained on the data set letters, not on few" in result.err
    assert "export it --data letters.npz" in result.err
    assert mnistkit(*arguments, "--accept-accuracy").code == 0
    (tmp_path / "run.json").write_text('{"of": "another tool"}')
    assert mnistkit(*arguments, "--force").code == 0


# --- bundles ----------------------------------------------------------------------------------------------------


def test_changed_labels_are_refused(mnistkit: Cli, bundle: Path) -> None:
    opened = open_bundle(bundle)
    with files.open_npz(opened.file(opened.manifest.test_set)) as archive:
        arrays: dict[str, Any] = {name: archive.read(name) for name in sorted(archive.names)}
    arrays["labels"][:3000] = (arrays["labels"][:3000] + 1) % 10
    files.write_npz(bundle / "testset.npz", arrays)
    reference = files.read_npz(bundle / "reference.npz", ["probabilities", "logits"])
    digest = np.array(files.sha256_of_arrays(arrays["images_00000"], arrays["labels"]))
    files.write_npz(bundle / "reference.npz", reference | {"test_set_sha256": digest})

    def change(manifest: dict[str, Any]) -> None:
        for key, name in (("test_set", "testset.npz"), ("reference", "reference.npz")):
            manifest[key]["sha256"] = files.sha256_of(bundle / name)

    edit_manifest(bundle, change)
    result = mnistkit("verify", bundle, *FAST)
    assert result.code == 2
    assert "the original model's accuracy is 69." in result.err
    assert "labels or predictions were changed" in result.err


def test_artifact_of_another_bundle_is_refused(mnistkit: Cli, trained: Path, bundle: Path, few_digits: Path) -> None:
    arguments = "export", trained / "model.keras", "--data", few_digits, "--out", bundle.parent / "other", *QUICK
    assert mnistkit(*arguments).code == 0
    name = "model.float32.tflite"
    (bundle / name).write_bytes((bundle.parent / "other" / name).read_bytes())
    edit_manifest(bundle, lambda manifest: manifest["artifacts"][0].update(sha256=files.sha256_of(bundle / name)))
    result = mnistkit("verify", bundle, *FAST)
    assert (result.code, f"{name} belongs to another bundle" in result.err) == (2, True), result.err


def test_changed_manifest_is_refused(mnistkit: Cli, bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"parameters": 93322', '"parameters": 93323', 1))
    result = mnistkit("verify", bundle, *FAST)
    assert (result.code, "manifest.json was changed (SHA-256 differs)" in result.err) == (2, True), result.err


def test_decompression_bomb_is_refused_before_it_is_unpacked(mnistkit: Cli, bundle: Path) -> None:
    import zipfile

    with zipfile.ZipFile(bundle / "testset.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("labels.npy", "w") as member:
            np.lib.format.write_array(member, np.zeros(10_000, np.int64))
        with archive.open("images_00000.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (10_000, 28, 28, 40)}
            np.lib.format.write_array_header_1_0(member, header)
            for _ in range(40):
                member.write(bytes(7_840_000))
    edit_manifest(bundle, lambda m: m["test_set"].update(sha256=files.sha256_of(bundle / "testset.npz")))
    result = mnistkit("verify", bundle, *FAST)
    assert result.code == 2
    assert "images_00000 is uint8 [10000, 28, 28, 40], not uint8 [10000, 28, 28, 1]" in result.err
