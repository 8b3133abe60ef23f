"""Builds mnistkit's own wheel from the running files.

A wheel of pure Python is a zip file of packages and metadata. Building it from the imported packages needs no source,
build tool or internet, works for a checkout and for an installed wheel, and gives boards the code that the workstation
runs. The same files produce the same bytes, so that an unchanged mnistkit is not installed again.
"""

import base64
import hashlib
import importlib.util
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from mnistkit.core import files
from mnistkit.core.errors import FleetError

PACKAGES = ("mnistkit", "mnistkit_export", "mnistkit_bench")
METADATA_FILES = ("METADATA", "entry_points.txt")
WHEEL = "Wheel-Version: 1.0\nGenerator: mnistkit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip file, so that the bytes do not depend on the time
REMEDY = "pass a wheel with --wheel; 'pip wheel --no-deps .' builds one from a checkout"


def build(folder: Path) -> Path:
    """Write the wheel to `folder` and return its path. Raises FleetError if mnistkit is not installed."""
    try:
        distribution = metadata.distribution("mnistkit")
    except metadata.PackageNotFoundError as error:
        raise FleetError("can't build a wheel: mnistkit is not installed", REMEDY) from error
    info = f"mnistkit-{distribution.version}.dist-info"
    contents = dict(_package_files())
    for name in METADATA_FILES:
        text = distribution.read_text(name)
        if text is None:
            raise FleetError(f"can't build a wheel: the installation of mnistkit has no {name}", REMEDY)
        contents[f"{info}/{name}"] = text.encode()
    contents[f"{info}/WHEEL"] = WHEEL.encode()
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD")
    path = folder / f"mnistkit-{distribution.version}-py3-none-any.whl"
    with files.atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return path


def _package_files() -> Iterator[tuple[str, bytes]]:
    """The name in the wheel and the content of each file of the packages."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if not spec or not spec.submodule_search_locations:
            raise FleetError(f"can't build a wheel: package {package} not found", REMEDY)
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(root).as_posix()}", files.read_bytes(path)


def _record(contents: dict[str, bytes], record_name: str) -> bytes:
    """The RECORD file: name, SHA-256 and size of each file, and its own name."""
    lines = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{record_name},,\n"]).encode()
