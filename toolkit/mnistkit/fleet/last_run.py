"""Which boards failed in the last run, so that the next can take up these alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mnistkit.core import records
from mnistkit.core.packages import missing_package


@dataclass(frozen=True)
class LastRun(records.Record):
    """What is kept of a run, in the folder of the user's state."""

    schema: ClassVar[str] = "last-run"
    version: ClassVar[int] = 1

    failed: tuple[str, ...]  # or not finished, by their names in the inventory


def load_last_run() -> tuple[str, ...]:
    """The boards that failed last; raises RecordError where the file was spoilt."""
    path = _path()
    return records.read(path, LastRun, f"remove {path}").failed if path.exists() else ()


def save_last_run(failed: tuple[str, ...]) -> None:
    """Remember them; raises StorageError."""
    records.write(_path(), LastRun(failed))


def _path() -> Path:
    try:
        import platformdirs
    except ImportError as error:
        raise missing_package("platformdirs", "fleet") from error
    return platformdirs.user_state_path("mnistkit") / "fleet.json"
