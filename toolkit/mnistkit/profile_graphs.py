"""The file `profile.zip` of a bundle: each artifact cut after each of its layers, so that a board can time them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnistkit.bundle import PROFILE, Bundle
from mnistkit.core import files, records
from mnistkit.core.errors import BundleError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable

INDEX = "index.json"
MAX_BYTES = 1 << 30  # of all files in the archive
EXPORT_AGAIN = "export the model again with --profile"


@dataclass(frozen=True)
class Prefix:
    """An artifact cut after a layer."""

    file: str
    layer: str
    operators: tuple[str, ...]  # that the layer adds
    macs: records.Count  # of these operators; 0 for operators without weights


@dataclass(frozen=True)
class ReferenceConvolution:
    """A network of large convolutions, converted like the artifact, which shows how fast the runtime can be."""

    file: str
    image_shape: tuple[int, ...]  # height, width, channels
    macs: records.Count


@dataclass(frozen=True)
class ArtifactGraphs:
    """The prefixes of an artifact, shortest first; the last is the whole artifact."""

    artifact: str
    prefixes: tuple[Prefix, ...]
    reference: ReferenceConvolution


@dataclass(frozen=True)
class ProfileIndex(records.Record, schema="profile-graphs", version=1):
    """The contents of the archive."""

    artifacts: tuple[ArtifactGraphs, ...]

    def files(self) -> list[str]:
        """The names of all files but the index."""
        return [name for row in self.artifacts for name in (*(p.file for p in row.prefixes), row.reference.file)]


def write(folder: Path, index: ProfileIndex, graphs: Iterable[tuple[str, bytes]]) -> None:
    """Write the archive to the folder of a bundle. Equal contents give equal bytes. Raises StorageError."""
    with files.atomic_file(folder / PROFILE) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ((INDEX, records.to_json(index).encode()), *graphs):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def extract(bundle: Bundle, folder: Path) -> ProfileIndex:
    """Unpack the archive of a bundle to `folder`. Raises BundleError if the bundle has none, or it is invalid."""
    if bundle.manifest.profile is None:
        raise BundleError(f"{bundle.path} has no graphs to profile", EXPORT_AGAIN)
    path = bundle.file(bundle.manifest.profile)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise BundleError(f"{path} is too large", EXPORT_AGAIN)
            index = records.parse(archive.read(INDEX), ProfileIndex, str(path), EXPORT_AGAIN)
            for name in index.files():
                if Path(name).name != name or name in ("", ".", ".."):
                    raise BundleError(f"{path} contains the invalid file name {name!r}", EXPORT_AGAIN)
                files.write_bytes(folder / name, archive.read(name))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, EOFError) as error:
        raise BundleError(f"{path} is invalid: {error}", EXPORT_AGAIN) from error
    except RecordError as error:
        raise BundleError(error.problem, error.remedy) from error
    return index
