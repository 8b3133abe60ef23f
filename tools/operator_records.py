"""The record of what each network's operators do in each format, and its table in docs/operators.md."""

from dataclasses import dataclass
from pathlib import Path

import markdown_table
from mnistkit.bundle import artifact_name
from mnistkit.core import records
from mnistkit_export.plan import ExportOptions
from networks import NETWORKS

RECORDS = Path(__file__).parent.parent / "docs" / "records" / "operators"
# C is made for few operators, and says which layer it lacks.
ARTIFACTS = tuple(artifact_name(*kind) for kind in ExportOptions().artifact_kinds() if kind[0] != "c")


@dataclass(frozen=True)
class ArtifactOutcome:
    """An artifact of a network."""

    artifact: str
    verdict: str  # of verify; empty if it was not exported or did not run
    difference: records.Points  # of the accuracies, in percentage points
    problem: str  # empty if it was exported and ran


@dataclass(frozen=True)
class NetworkOutcome(records.Record, schema="operators", version=1):
    """A network that was trained, exported, verified and diagnosed."""

    network: str
    layers: str  # that it stands for
    accuracy: records.Share  # of the Keras model on the test images
    margin: records.NonNegative  # of verify, in percentage points
    artifacts: tuple[ArtifactOutcome, ...]
    diagnose_problem: str  # empty if `diagnose` ran
    cpu: str
    versions: dict[str, str]


def path_of(network: str) -> Path:
    """The record of a network."""
    return RECORDS / f"{network}.json"


def table() -> str:
    """A row for each network: its accuracy, and the accuracy difference or the problem of each artifact."""
    columns = ("network", "layers", "accuracy", *(name.removeprefix("model.") for name in ARTIFACTS))
    outcomes = (records.read(path_of(network.name), NetworkOutcome, "") for network in NETWORKS)
    return markdown_table.table(columns, map(_network_row, outcomes), text_columns=2)


def _network_row(outcome: NetworkOutcome) -> tuple[str, ...]:
    artifacts = {artifact.artifact: artifact for artifact in outcome.artifacts}
    return outcome.network, outcome.layers, f"{outcome.accuracy:.2%}", *(_cell(artifacts[name]) for name in ARTIFACTS)


def _cell(outcome: ArtifactOutcome) -> str:
    if outcome.problem:
        return "not exported"
    difference = f"{outcome.difference:+.2f}"
    return difference if outcome.verdict == "PASS" else f"**{difference} {outcome.verdict}**"
