"""`export --profile` and `mnistkit profile`: artifacts cut after each layer compute what the whole artifact does."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import UNTRAINED, Cli, edit_manifest

import networks
from mnistkit import profile_graphs
from mnistkit.bench_report import Failure
from mnistkit.bundle import Artifact, Bundle, open_bundle
from mnistkit.core import files, records
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine
from mnistkit.profile_graphs import ArtifactGraphs, Prefix, ReferenceConvolution
from mnistkit.runtimes import default_for
from mnistkit.training import keras_models, loading
from mnistkit_bench import profile, profile_tables
from mnistkit_bench.jobs import Job, JobResult, Worker
from mnistkit_bench.profile import ArtifactProfile, LayerTime, ProfileReport
from mnistkit_bench.samples import Round


@pytest.fixture(scope="session")
def profiled(workspace: Path, few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the CNN with the graphs to profile."""
    from mnistkit.cli import main

    bundle = tmp_path_factory.mktemp("profiled") / "bundle"
    options = "--data", str(few_digits), "--out", str(bundle), "--preprocessing", "raw", "--profile"
    assert main.run(["export", str(workspace / "model.keras"), *options]) == 0
    return bundle


def with_layers(bundle: Bundle) -> list[Artifact]:
    """The artifacts that can be cut after each layer."""
    return [artifact for artifact in bundle.manifest.artifacts if artifact.format != "c"]


def last_outputs(bundle: Bundle, folder: Path) -> None:
    """Every prefix runs, the last of each artifact gives its probabilities, and so do the MACs of all layers."""
    index = profile_graphs.extract(bundle, folder)
    images = bundle.evaluation_set().images[:1]
    artifacts = {artifact.file: artifact for artifact in with_layers(bundle)}
    assert [row.artifact for row in index.artifacts] == list(artifacts)
    for row in index.artifacts:
        artifact = artifacts[row.artifact]
        runtime, outputs = default_for(artifact.format), []
        for path in (*(folder / prefix.file for prefix in row.prefixes), bundle.file(artifact)):
            session = runtime.open(path)
            session.load(images)
            session.run()
            outputs.append(session.read())
        assert len(outputs) > 2
        np.testing.assert_array_equal(outputs[-2], outputs[-1])
        reference = runtime.open(folder / row.reference.file)
        reference.load(np.zeros((1, *row.reference.image_shape), np.uint8))
        reference.run()


def test_prefixes_run_and_the_last_is_the_artifact(profiled: Path, tmp_path: Path) -> None:
    bundle = open_bundle(profiled)
    last_outputs(bundle, tmp_path)
    index = profile_graphs.extract(bundle, tmp_path)
    for row, artifact in zip(index.artifacts, with_layers(bundle), strict=True):
        assert sum(prefix.macs for prefix in row.prefixes) == artifact.macs, row.artifact
        with_macs = [prefix.layer for prefix in row.prefixes if prefix.macs]
        assert with_macs == ["conv2d", "conv2d_1", "conv2d_2", "dense", "dense_1"]
        sizes = [(tmp_path / prefix.file).stat().st_size for prefix in row.prefixes]
        assert sizes[0] < 0.2 * sizes[-1]  # without the weights of later layers


@pytest.mark.parametrize(
    "name", ["residual", "squeeze-and-excite", "attention", "transposed", "grouped", "smooth", "recurrent"]
)
def test_branches_are_cut_at_all_tensors_that_are_still_read(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, name: str
) -> None:
    keras_models.import_keras().utils.set_random_seed(5)
    keras_models.save(networks.build(networks.find(name)), tmp_path / "model.keras")
    # A recurrent layer can't be int8 in TFLite.
    options = "--quantize", "float32", "--quantize", "dynamic" if name == "recurrent" else "int8", "--profile"
    result = mnistkit("export", tmp_path / "model.keras", "--data", few_digits, *options, *UNTRAINED)
    assert result.code == 0, result.err
    (tmp_path / "graphs").mkdir()
    last_outputs(open_bundle(tmp_path / "bundle"), tmp_path / "graphs")


def test_repeated_export_writes_the_same_graphs(
    mnistkit: Cli, workspace: Path, profiled: Path, few_digits: Path, tmp_path: Path
) -> None:
    options = "--data", few_digits, "--out", tmp_path / "b", "--preprocessing", "raw", "--profile"
    assert mnistkit("export", workspace / "model.keras", *options).code == 0
    assert open_bundle(tmp_path / "b").manifest.profile == open_bundle(profiled).manifest.profile


def test_every_layer_is_measured(mnistkit: Cli, profiled: Path, tmp_path: Path) -> None:
    brief = "--seconds", 0.1, "--processes", 1
    selection = "--artifact", "model.int8.tflite", "--runtime", "litert"
    result = mnistkit(
        "profile", profiled, *selection, *brief, "--json", tmp_path / "p.json", "--png", tmp_path / "p.png"
    )
    assert result.code == 0, result.err
    report = records.read(tmp_path / "p.json", ProfileReport, "")
    (row,) = report.artifacts
    names = [layer.layer for layer in row.layers]
    assert names[2:5] == ["conv2d", "max_pooling2d", "conv2d_1"]
    assert sum(layer.microseconds for layer in row.layers) == pytest.approx(row.microseconds, abs=0.1)
    assert row.reference_macs_per_second > 0
    assert all(name in result.out for name in names)
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_bundle_without_graphs_is_refused_with_the_remedy(mnistkit: Cli, workspace: Path) -> None:
    result = mnistkit("profile", workspace / "bundle")
    assert result.code == 2
    assert "has no graphs to profile; export the model again with --profile" in result.err


def test_unknown_artifact_is_refused(mnistkit: Cli, profiled: Path) -> None:
    result = mnistkit("profile", profiled, "--artifact", "model.int4.tflite")
    assert result.code == 2
    assert "has no artifact model.int4.tflite; choose from model.float32.tflite" in result.err


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def index_of(name: str) -> bytes:
    prefix = Prefix(name, "a", (), 0)
    graphs = ArtifactGraphs("model.int8.tflite", (prefix,), ReferenceConvolution(name, (1, 1, 1), 1))
    return records.to_json(profile_graphs.ProfileIndex((graphs,))).encode()


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"index.json": b"{}"},
        {"index.json": index_of("../escaped"), "../escaped": b"x"},
        {"index.json": index_of("missing")},
    ],
)
def test_invalid_archive_is_refused(mnistkit: Cli, profiled: Path, tmp_path: Path, members: dict[str, bytes]) -> None:
    bundle = Path(shutil.copytree(profiled, tmp_path / "b"))
    write_archive(bundle / "profile.zip", members)

    def change(manifest: dict[str, Any]) -> None:
        manifest["profile"]["sha256"] = files.sha256_of(bundle / "profile.zip")

    edit_manifest(bundle, change)
    result = mnistkit("profile", bundle)
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert "export the model again" in result.err
    assert not (tmp_path / "escaped").exists()


def measured(nanoseconds: float, rng: np.random.Generator) -> JobResult:
    """The result of a job whose latency varies by a percent between processes and within them."""
    job = Job(Path("model"), default_for("tflite"), Path("testset"))
    result = JobResult(job)
    for speed in rng.normal(1, 0.003, 4):
        worker = Worker.__new__(Worker)
        worker.job, worker.failure = job, None
        worker.rounds = [
            Round(
                (nanoseconds * speed * rng.normal(1, 0.01, 50)).astype(np.int64),
                np.full(5, 10),
                np.zeros(5, np.int64),
                np.full(6, 100),
            )
            for _ in range(10)
        ]
        result.workers.append(worker)
    return result


def test_duplicated_convolution_takes_twice_the_time_and_the_others_stay() -> None:
    """On simulated latencies; `python benchmarks/profile.py` shows it on real ones."""
    rng = np.random.default_rng(3)
    layers = {"first": 10_000, "convolution": 40_000, "last": 5000}

    def profile_of(names: list[str]) -> dict[str, LayerTime]:
        ends = np.cumsum([layers[name.rstrip("2")] for name in names])
        prefixes = tuple(Prefix("file", name, ("CONV_2D",), 1000) for name in names)
        graphs = ArtifactGraphs("a", prefixes, ReferenceConvolution("file", (1, 1, 1), 10**6))
        results = [measured(end, rng) for end in (*ends, 20_000)]
        row = profile._profile(graphs, default_for("tflite"), results)  # noqa: SLF001
        assert row.reference_macs_per_second == pytest.approx(5e10, rel=0.02)
        return {layer.layer: layer for layer in row.layers}

    once, twice = profile_of(list(layers)), profile_of(["first", "convolution", "convolution2", "last"])
    for name, nanoseconds in layers.items():
        for row in (once[name], twice[name]):
            assert row.microseconds == pytest.approx(nanoseconds / 1000, abs=0.5)
            assert row.interval
            assert row.interval.low <= row.microseconds <= row.interval.high
    assert twice["convolution2"].microseconds == pytest.approx(40, abs=0.5)


MACHINE = Machine("CPU", 2, "x86_64", "Linux")


def test_table_shows_rates_beside_the_best_of_the_runtime() -> None:
    fast = LayerTime("conv", ("CONV_2D",), 1_000_000, 50.0, Interval(49, 51), 0.5)
    tiny = LayerTime("flatten", ("RESHAPE",), 0, -0.1, None, -0.001)
    row = ArtifactProfile("a.tflite", "litert", 100.0, 1_000_000, 40_000_000_000, (fast, tiny))
    failure = Failure("b.tflite", "litert", 1, 1, 1, "crashed", "try again", skipped=False)
    report = ProfileReport("s", MACHINE, None, ("background load",), (row,), (failure,), {})
    (table,) = profile_tables.tables(report)
    cells = [list(column.cells) for column in table.columns]
    assert [column[0] for column in cells] == ["conv", "CONV_2D", "1,000,000", "50.00", "1.00", "50.0%", "20.0", "50%"]
    assert [column[1] for column in cells] == ["flatten", "RESHAPE", "", "-0.10", "unknown", "-0.1%", "", ""]
    assert len(profile_tables.remarks(report)) == 2
    assert records.parse(records.to_json(report).encode(), ProfileReport, "", "") == report
    assert replace(report, artifacts=()).artifacts == ()


def test_model_with_a_duplicated_layer_is_cut_after_both(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    keras = keras_models.import_keras()
    first, *rest = loading.load(workspace / "model.keras").layers
    doubled = [keras.layers.Conv2D(4, 3, padding="same", name=name) for name in ("extra", "extra_again")]
    model = keras.Sequential([keras.Input((28, 28, 1)), first, doubled[0], doubled[1], keras.layers.Flatten(),
                              keras.layers.Dense(10, "softmax", name="head")])  # fmt: skip
    assert rest
    keras_models.save(model, tmp_path / "model.keras")
    options = "--data", few_digits, "--quantize", "float32", "--profile"
    assert mnistkit("export", tmp_path / "model.keras", *options, *UNTRAINED).code == 0
    (tmp_path / "graphs").mkdir()
    for row in profile_graphs.extract(open_bundle(tmp_path / "bundle"), tmp_path / "graphs").artifacts:
        macs = {prefix.layer: prefix.macs for prefix in row.prefixes if prefix.macs}
        assert list(macs) == ["extra", "extra_again", "head"]
        assert macs["extra_again"] == 28 * 28 * 9 * 4 * 4
