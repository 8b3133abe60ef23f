"""The boards that failed in the last run, for `--only @failed`."""

from dataclasses import dataclass
from pathlib import Path

import platformdirs

from mnistkit.core import records


@dataclass(frozen=True)
class LastRun(records.Record, schema="last-run", version=1):
    """The result of the last run, kept in the user's state folder."""

    failed: tuple[str, ...]  # inventory names of the boards that failed or were not finished


def load_last_run() -> tuple[str, ...]:
    """The boards that failed in the last run. Raises RecordError if the file is invalid."""
    path = _path()
    return records.read(path, LastRun, f"remove {path}").failed if path.exists() else ()


def save_last_run(failed: tuple[str, ...]) -> None:
    """Save the boards that failed. Raises StorageError if the file can't be written."""
    records.write(_path(), LastRun(failed))


def _path() -> Path:
    return platformdirs.user_state_path("mnistkit") / "fleet.json"
