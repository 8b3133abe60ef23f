"""mnistkit's own wheel, from the files that run here.

A wheel of pure Python is a zip of its packages and a few lines about them. Made from what is imported here, it needs no
source, no build tool and no internet, is the same for a wheel that was installed and for a checkout, and what goes to a
board is what the workstation itself runs. The same files give the same bytes, so a board is not installed anew.
"""

from __future__ import annotations

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
INFO = ("METADATA", "entry_points.txt")
WHEEL = "Wheel-Version: 1.0\nGenerator: mnistkit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip's first moment, whenever it is made
NAME_ONE = "name a wheel with --wheel; 'pip wheel --no-deps .' makes it from a checkout"


def build(folder: Path) -> Path:
    """Write the wheel to `folder`; its path. Raises FleetError where mnistkit runs without having been installed."""
    try:
        found = metadata.distribution("mnistkit")
    except metadata.PackageNotFoundError as error:
        raise FleetError("mnistkit is not installed here, so no wheel can be made of it", NAME_ONE) from error
    info = f"mnistkit-{found.version}.dist-info"
    contents = dict(_modules())
    for name in INFO:
        text = found.read_text(name)
        if text is None:
            raise FleetError(f"mnistkit's installation lacks {name}, so no wheel can be made of it", NAME_ONE)
        contents[f"{info}/{name}"] = text.encode()
    contents[f"{info}/WHEEL"] = WHEEL.encode()
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD")
    path = folder / f"mnistkit-{found.version}-py3-none-any.whl"
    with files.atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return path


def _modules() -> Iterator[tuple[str, bytes]]:
    """Every file of the packages, by its name in the wheel."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if not spec or not spec.submodule_search_locations:
            raise FleetError(f"{package} is not here, so no wheel can be made of mnistkit", NAME_ONE)
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(root).as_posix()}", files.read_bytes(path)


def _record(contents: dict[str, bytes], own: str) -> bytes:
    lines = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own},,\n"]).encode()
