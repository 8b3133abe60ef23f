"""Builds a userland once, in build/pi/RELEASE, and installs mnistkit into it anew when its sources have changed.

    build/pi/bookworm/base    Debian's packages, unpacked, and in them the wheels
    build/pi/bookworm/pi4     the board: its files, its programs, the home of its user

What it is made of is digested into its name for itself; another digest is another userland. It is built under a
temporary name, so one that was interrupted is never taken for a whole one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulated_pi import boards, launchers, releases
from emulated_pi.board import Board
from emulated_pi.releases import RELEASES, ROOT, Release
from mnistkit.core import files

BUILD = ROOT / "build" / "pi"
SOURCES = "toolkit", "export", "benchmarks/mnistkit_bench"
WHEELS = "base/usr/lib/python3/dist-packages"
CONSTRAINTS = ROOT / "constraints.txt"
USELESS = "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*"


def board(name: str, release: str = "bookworm") -> Board:
    """The board of that name, built where it is not yet; what `why_not` names is needed for that."""
    made_of = RELEASES[release]
    folder = BUILD / release
    with _locked(folder):
        if _read(folder / "digest") != (digest := _digest_of(made_of, folder)):
            _build(made_of, folder, digest)
        if _read(folder / "mnistkit-digest") != (own := _digest_of_mnistkit()):
            _install_mnistkit(made_of, folder, own)
    return Board(name, folder / name, made_of, made_of.cpu or boards.FACTS[name].cpu)


def _build(release: Release, folder: Path, digest: str) -> None:
    """All of it but mnistkit."""
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _unpack(release, temporary / "base")
        for name, facts in boards.FACTS.items():
            boards.write_files(temporary / name / "root", facts, release.bits)
            launchers.write(release, name, temporary, folder)
        _install_requirements(release, temporary)
        (temporary / "digest").write_text(digest)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(release: Release, base: Path) -> None:
    """Debian's packages, with what they depend on, as apt finds them for that system and not for this one."""
    for name in ("bin", "sbin", "lib"):
        (base / "usr" / name).mkdir(parents=True)
        (base / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory(prefix="mnistkit-pi-") as name:
        for package in _download(release, Path(name)):
            _extract(package, base)
    # What dpkg's alternatives would do.
    for library in (*base.glob("usr/lib/*/blas/libblas.so.3"), *base.glob("usr/lib/*/lapack/liblapack.so.3")):
        (library.parent.parent / library.name).symlink_to(f"{library.parent.name}/{library.name}")


def _download(release: Release, folder: Path) -> list[Path]:
    for name in ("state/lists/partial", "cache/archives/partial", "preferences.d"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()  # nothing is installed there
    source = f"deb [arch={release.architecture} signed-by={releases.KEYRING}] {releases.mirror()} {release.suite} main"
    (folder / "sources.list").write_text(f"{source}\n")
    options = {
        "APT::Architecture": release.architecture,
        "APT::Architectures": release.architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": folder / "preferences.d",
    }
    apt = "apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())
    _run(*apt, "update")
    _run(*apt, "-y", "--download-only", "install", *release.packages)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _extract(package: Path, base: Path) -> None:
    pack = "dpkg-deb", "--fsys-tarfile", package
    unpack = "tar", "-C", base, "-x", "--keep-directory-symlink", "--no-same-owner"
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        subprocess.run([*unpack, *(f"--exclude={pattern}" for pattern in USELESS)], stdin=packed.stdout, check=True)
    if packed.returncode:
        raise SystemExit(f"{package.name} is broken")


def _install_requirements(release: Release, folder: Path) -> None:
    """What `pip install mnistkit[EXTRA]` brings there, in the versions that this project was last tested with."""
    pinned = "-c", CONSTRAINTS
    if not release.system_packages:
        with wheel() as built:
            _pip(release, folder, *pinned, f"mnistkit[{release.extra}] @ {built.as_uri()}")
        return
    # No resolver would look for Debian's own numpy here; on the board pip finds it.
    _pip(release, folder, "--no-deps", "tflite-runtime")
    _pip(release, folder, *pinned, *(name for name in releases.requirements() if "numpy" not in name))


def _install_mnistkit(release: Release, folder: Path, digest: str) -> None:
    """Its wheel, in place of the one that is there."""
    (folder / "mnistkit-digest").unlink(missing_ok=True)
    with wheel() as built:
        _pip(release, folder, "--no-deps", "--upgrade", built)
    (folder / "mnistkit-digest").write_text(digest)


@contextmanager
def wheel() -> Iterator[Path]:
    """Mnistkit's own, of the sources as they are now."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-wheel-") as folder:
        _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
        (built,) = Path(folder).glob("*.whl")
        yield built


def _pip(release: Release, folder: Path, *arguments: object) -> None:
    """Install wheels for that system: by this machine's pip, which is ten times as fast as the emulated one."""
    target = "--target", folder / WHEELS, "--implementation", "cp", "--python-version", release.python
    abis = f"cp{release.python.replace('.', '')}", "abi3", "none"
    tags = [f"--abi={abi}" for abi in abis] + [f"--platform={platform}" for platform in release.platforms]
    quietly = "-q", "--disable-pip-version-check", "--root-user-action=ignore", "--no-compile"
    _run(sys.executable, "-m", "pip", "install", *quietly, *target, *tags, "--only-binary=:all:", *arguments)


def _digest_of(release: Release, folder: Path) -> str:
    """Of all that `_build` depends on; of the place too, for the launchers name it."""
    code = [
        (Path(__file__).parent / f"{name}.py").read_bytes() for name in ("boards", "launchers", "releases", "userland")
    ]
    stated = f"{folder} {release} {releases.requirements(release.extra)}".encode()
    return files.sha256(b"\0".join([stated, CONSTRAINTS.read_bytes(), *code]))


def _digest_of_mnistkit() -> str:
    """Of all that its wheel is made of."""
    found = [path for root in SOURCES for path in sorted((ROOT / root).rglob("*")) if path.is_file()]
    sources = [path for path in found if "__pycache__" not in path.parts]
    parts = [part for path in sources for part in (str(path.relative_to(ROOT)).encode(), path.read_bytes())]
    return files.sha256(b"\0".join([(ROOT / "pyproject.toml").read_bytes(), *parts]))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else builds it meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _run(*command: object) -> None:
    """Run it; what it says is shown where it fails."""
    words = [str(word) for word in command]
    # What is set for this machine's Python is not for its children, which install for another.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:4])} …: {done.stdout}{done.stderr}".strip())
