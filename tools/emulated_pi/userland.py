"""Builds the userland of a release once, in build/pi/RELEASE, and reinstalls mnistkit there when its sources change.

    build/pi/bookworm/base    the unpacked Debian packages, with the installed wheels
    build/pi/bookworm/pi4     a board: its system files, its programs, the home folder of its user

A digest of everything that the userland depends on is stored in it; it is rebuilt if the digest differs. It is built
under a temporary name and then renamed, so an interrupted build is never used.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulated_pi import launchers, releases, specs
from emulated_pi.board import Board
from emulated_pi.releases import RELEASES, ROOT, Release
from mnistkit.core import files
from mnistkit.fleet import wheel

BUILD = ROOT / "build" / "pi"
WHEELS = "base/usr/lib/python3/dist-packages"
CONSTRAINTS = ROOT / "constraints.txt"
EXCLUDED_PATHS = "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*"


def get_board(name: str, release: str = "bookworm") -> Board:
    """The board of that name, built if necessary. Needs the programs that `releases.unavailable_reason` checks."""
    chosen = RELEASES[release]
    folder = BUILD / release
    with _locked(folder):
        digest = _userland_digest(chosen, folder)
        if _read(folder / "digest") != digest:
            _build(chosen, folder, digest)
        mnistkit_digest = _mnistkit_digest()
        if _read(folder / "mnistkit-digest") != mnistkit_digest:
            _install_mnistkit(chosen, folder, mnistkit_digest)
    return Board(name, folder / name, chosen, chosen.cpu or specs.SPECS[name].cpu)


def _build(release: Release, folder: Path, digest: str) -> None:
    """Build the userland without mnistkit."""
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _unpack(release, temporary / "base")
        for name, spec in specs.SPECS.items():
            specs.write_system_files(temporary / name / "root", spec, release.bits)
            launchers.write_launchers(release, name, temporary, folder)
        _install_requirements(release, temporary)
        (temporary / "digest").write_text(digest)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(release: Release, base: Path) -> None:
    """Download the Debian packages and their dependencies for the release, and unpack them."""
    for name in ("bin", "sbin", "lib"):
        (base / "usr" / name).mkdir(parents=True)
        (base / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory(prefix="mnistkit-pi-") as name:
        for package in _download(release, Path(name)):
            _extract(package, base)
    # dpkg would set these links by its alternatives system.
    for library in (*base.glob("usr/lib/*/blas/libblas.so.3"), *base.glob("usr/lib/*/lapack/liblapack.so.3")):
        (library.parent.parent / library.name).symlink_to(f"{library.parent.name}/{library.name}")


def _download(release: Release, folder: Path) -> list[Path]:
    for name in ("state/lists/partial", "cache/archives/partial", "preferences.d"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()  # no package is installed yet
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
    read_archive = "dpkg-deb", "--fsys-tarfile", package
    unpack = "tar", "-C", base, "-x", "--keep-directory-symlink", "--no-same-owner"
    with subprocess.Popen(read_archive, stdout=subprocess.PIPE) as archive:
        exclude = [f"--exclude={pattern}" for pattern in EXCLUDED_PATHS]
        subprocess.run([*unpack, *exclude], stdin=archive.stdout, check=True)
    if archive.returncode:
        raise SystemExit(f"{package.name} is corrupt")


def _install_requirements(release: Release, folder: Path) -> None:
    """Install what `pip install mnistkit[EXTRA]` installs on the board, in the versions of constraints.txt."""
    constraints = "-c", CONSTRAINTS
    if not release.system_packages:
        with build_wheel() as path:
            _pip(release, folder, *constraints, f"mnistkit[{release.extra}] @ {path.as_uri()}")
        return
    # pip does not see Debian's numpy from outside the board, so it must not resolve the dependency on numpy.
    _pip(release, folder, "--no-deps", "tflite-runtime")
    _pip(release, folder, *constraints, *(name for name in releases.requirements() if "numpy" not in name))


def _install_mnistkit(release: Release, folder: Path, digest: str) -> None:
    """Replace the installed mnistkit by a wheel of the current sources."""
    (folder / "mnistkit-digest").unlink(missing_ok=True)
    with build_wheel() as path:
        _pip(release, folder, "--no-deps", "--upgrade", path)
    (folder / "mnistkit-digest").write_text(digest)


@contextmanager
def build_wheel() -> Iterator[Path]:
    """A mnistkit wheel of the current sources, which exists until the block ends."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-wheel-") as folder:
        yield wheel.build(Path(folder))


def _pip(release: Release, folder: Path, *arguments: object) -> None:
    """Install wheels for the release with this machine's pip, which is ten times as fast as the emulated one."""
    target = "--target", folder / WHEELS, "--implementation", "cp", "--python-version", release.python
    abis = f"cp{release.python.replace('.', '')}", "abi3", "none"
    tags = [f"--abi={abi}" for abi in abis] + [f"--platform={platform}" for platform in release.platforms]
    quiet = "-q", "--disable-pip-version-check", "--root-user-action=ignore", "--no-compile"
    _run(sys.executable, "-m", "pip", "install", *quiet, *target, *tags, "--only-binary=:all:", *arguments)


def _userland_digest(release: Release, folder: Path) -> str:
    """The SHA-256 of everything that `_build` depends on, with its folder, which the launchers contain."""
    modules = "specs", "launchers", "releases", "userland"
    code = [(Path(__file__).parent / f"{module}.py").read_bytes() for module in modules]
    parameters = f"{folder} {release} {releases.requirements(release.extra)}".encode()
    return files.sha256(b"\0".join([parameters, CONSTRAINTS.read_bytes(), *code]))


def _mnistkit_digest() -> str:
    """The SHA-256 of mnistkit's wheel; the same sources give the same wheel."""
    with build_wheel() as path:
        return files.sha256_of(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock that keeps two processes from building the same userland."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _run(*command: object) -> None:
    """Run a command; exits with its output if it fails."""
    words = [str(word) for word in command]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # that of this machine
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(words[:4])} …: {result.stdout}{result.stderr}".strip())
