"""Building the emulated boards, without QEMU. Tests that run on the boards are in tests/pi/."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulated_pi import launchers, releases, userland
from emulated_pi.releases import RELEASES, Release
from emulated_pi.specs import SPECS


@pytest.fixture
def pip_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The last argument of each pip call. pip, the wheel and the Debian packages are replaced by stubs."""

    @contextmanager
    def build_wheel() -> Iterator[Path]:
        (tmp_path / "mnistkit.whl").touch()
        yield tmp_path / "mnistkit.whl"

    requests: list[str] = []
    monkeypatch.setattr(userland, "BUILD", tmp_path / "pi")
    monkeypatch.setattr(userland, "build_wheel", build_wheel)
    monkeypatch.setattr(userland, "_unpack", lambda release, base: (base / "usr" / "bin").mkdir(parents=True))
    monkeypatch.setattr(userland, "_pip", lambda release, folder, *arguments: requests.append(str(arguments[-1])))
    return requests


def test_userland_is_built_once(pip_requests: list[str]) -> None:
    assert userland.get_board("pi4") == userland.get_board("pi4")
    assert [request.partition(" @ ")[0].rpartition("/")[2] for request in pip_requests] == [
        "mnistkit[device]",
        "mnistkit.whl",
    ]


def test_interrupted_build_is_repeated(
    pip_requests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(release: Release, folder: Path) -> None:
        raise SystemExit("no wheels")

    with monkeypatch.context() as patched:
        patched.setattr(userland, "_install_requirements", fail)
        with pytest.raises(SystemExit):
            userland.get_board("pi4")
    assert [path.name for path in (tmp_path / "pi").iterdir()] == [".bookworm.lock"]
    assert userland.get_board("pi4").folder.exists()
    assert len(pip_requests) == 2


def test_changed_sources_reinstall_only_mnistkit(pip_requests: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    userland.get_board("pi4")
    pip_requests.clear()
    monkeypatch.setattr(userland, "_mnistkit_digest", lambda: "changed")
    userland.get_board("pi4")
    assert [request.rpartition("/")[2] for request in pip_requests] == ["mnistkit.whl"]


def test_interrupted_install_is_repeated(pip_requests: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = userland.get_board("pi4").folder.parent

    def fail(release: Release, folder: Path, *arguments: object) -> None:
        raise SystemExit("no network")

    with monkeypatch.context() as patched:
        patched.setattr(userland, "_mnistkit_digest", lambda: "changed")
        patched.setattr(userland, "_pip", fail)
        with pytest.raises(SystemExit):
            userland.get_board("pi4")
    assert not (folder / "mnistkit-digest").exists()
    pip_requests.clear()
    userland.get_board("pi4")
    assert len(pip_requests) == 1


@pytest.mark.parametrize("release", RELEASES.values(), ids=list(RELEASES))
@pytest.mark.parametrize("name", SPECS)
def test_emulator_command_sets_the_cpu(release: Release, name: str) -> None:
    words = launchers.emulator_command(release, name, Path("/pi")).split()
    assert words[words.index("-cpu") + 1].startswith("cortex-a")


def test_missing_programs_are_reported_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if "qemu" in name else name)
    reason = releases.unavailable_reason(releases.COUNTING_PROGRAMS)
    assert reason
    assert reason.startswith("qemu-aarch64-static, qemu-arm-static, qemu-aarch64: not installed")
    assert reason.endswith("(apt-get install qemu-user qemu-user-static)")
