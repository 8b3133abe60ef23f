"""Train, export, verify and diagnose each network of networks.py, and record the outcomes for the docs.

python tools/record_operators.py [NETWORK…]
"""

import sys
import tempfile
from pathlib import Path

import networks
import operator_records
from mnistkit.cli import terminal
from mnistkit.core import records
from mnistkit.core.errors import MnistkitError
from mnistkit.core.packages import installed_versions
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.device.machine import this_machine
from mnistkit.training import keras_models
from mnistkit.training.keras_models import import_keras
from mnistkit.verify.parity import Limits
from mnistkit.verify.predictions import run_artifacts
from mnistkit.verify.report import evaluate
from mnistkit_export.diagnose import diagnose
from mnistkit_export.exporter import export
from operator_records import ArtifactOutcome, NetworkOutcome

SEED = 1
TRAINING_IMAGES = 20_000
EPOCHS = 3
MARGIN = 0.5  # percentage points
MIN_ACCURACY = 0.85
RUNTIMES = "litert", "onnxruntime"
DIAGNOSED_IMAGES = 50


def record_network(network: networks.Network, data: Dataset, folder: Path) -> NetworkOutcome:
    """Train the network briefly and see what becomes of it."""
    keras = import_keras()
    keras.utils.set_random_seed(SEED)
    model = networks.build(network)
    model.compile("adam", "sparse_categorical_crossentropy")
    images, labels = data.x_train[:TRAINING_IMAGES], data.y_train[:TRAINING_IMAGES]
    model.fit(images, labels, batch_size=64, epochs=EPOCHS, verbose=0)
    keras_models.save(model, folder / "model.keras")
    bundle = export(folder / "model.keras", data, folder / "bundle")
    report = evaluate(run_artifacts(bundle, bundle.evaluation_set(), RUNTIMES), Limits(MARGIN))
    outcomes = {
        row.artifact: ArtifactOutcome(row.artifact, row.parity.verdict, row.parity.difference, "")
        for row in report.rows
    }
    failures = {failure.file: failure.problem for failure in bundle.manifest.not_exported}
    failures |= {failure.artifact: failure.problem for failure in report.not_run}
    outcomes |= {name: ArtifactOutcome(name, "", 0.0, problem) for name, problem in failures.items()}
    problem = ""
    try:
        diagnose(bundle, DIAGNOSED_IMAGES)
    except MnistkitError as error:
        problem = str(error)
    return NetworkOutcome(
        network=network.name,
        layers=network.layers,
        accuracy=bundle.manifest.provenance.source_model.accuracy,
        margin=MARGIN,
        artifacts=tuple(outcomes[name] for name in operator_records.ARTIFACTS),
        diagnose_problem=problem,
        cpu=this_machine().cpu,
        versions=installed_versions("mnistkit", "tensorflow", "keras", "tf2onnx", "onnxruntime", "ai-edge-litert"),
    )


def main(names: list[str]) -> None:
    """Record the named networks, or all; print each outcome."""
    data, progress = mnist.load(), terminal.Terminal()
    for network in networks.NETWORKS:
        if names and network.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder, progress.task(network.name):
            outcome = record_network(network, data, Path(folder))
        records.write(operator_records.path_of(network.name), outcome)
        cells = [f"{row.problem or f'{row.difference:+.2f} {row.verdict}'}" for row in outcome.artifacts]
        low = f"accuracy below {MIN_ACCURACY:.0%}" if outcome.accuracy < MIN_ACCURACY else ""
        terminal.show("  ".join([network.name, f"{outcome.accuracy:.2%}", *cells, outcome.diagnose_problem, low]))


if __name__ == "__main__":
    main(sys.argv[1:])
