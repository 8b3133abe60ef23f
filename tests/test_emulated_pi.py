"""How the emulated boards are kept: what needs no QEMU. What they do themselves is in tests/pi/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulated_pi import boards, launchers, releases, userland
from emulated_pi.releases import RELEASES, Release


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pip was asked for, of a userland of no packages."""

    @contextmanager
    def wheel() -> Iterator[Path]:
        yield tmp_path / "mnistkit.whl"

    asked: list[str] = []
    monkeypatch.setattr(userland, "BUILD", tmp_path / "pi")
    monkeypatch.setattr(userland, "wheel", wheel)
    monkeypatch.setattr(userland, "_unpack", lambda _, base: (base / "usr" / "bin").mkdir(parents=True))
    monkeypatch.setattr(userland, "_pip", lambda release, folder, *arguments: asked.append(str(arguments[-1])))
    return asked


def test_a_userland_is_built_once(installed: list[str]) -> None:
    assert userland.board("pi4") == userland.board("pi4")
    assert [request.partition(" @ ")[0].rpartition("/")[2] for request in installed] == [
        "mnistkit[device]",
        "mnistkit.whl",
    ]


def test_a_build_that_broke_off_is_not_taken_for_a_whole_one(
    installed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(release: Release, folder: Path) -> None:
        raise SystemExit("no wheels today")

    with monkeypatch.context() as patched:
        patched.setattr(userland, "_install_requirements", fail)
        with pytest.raises(SystemExit):
            userland.board("pi4")
    assert [path.name for path in (tmp_path / "pi").iterdir()] == [".bookworm.lock"]
    assert userland.board("pi4").folder.exists()
    assert len(installed) == 2


def test_mnistkit_alone_is_installed_anew_when_its_sources_changed(
    installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    userland.board("pi4")
    installed.clear()
    monkeypatch.setattr(userland, "_digest_of_mnistkit", lambda: "another")
    userland.board("pi4")
    assert [request.rpartition("/")[2] for request in installed] == ["mnistkit.whl"]


def test_an_install_that_broke_off_is_made_again(installed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = userland.board("pi4").folder.parent

    def fail(release: Release, folder: Path, *arguments: object) -> None:
        raise SystemExit("the network is gone")

    with monkeypatch.context() as patched:
        patched.setattr(userland, "_digest_of_mnistkit", lambda: "another")
        patched.setattr(userland, "_pip", fail)
        with pytest.raises(SystemExit):
            userland.board("pi4")
    assert not (folder / "mnistkit-digest").exists()
    installed.clear()
    userland.board("pi4")
    assert len(installed) == 1


@pytest.mark.parametrize("release", RELEASES.values(), ids=list(RELEASES))
@pytest.mark.parametrize("name", boards.FACTS)
def test_the_processor_is_always_said(release: Release, name: str) -> None:
    words = launchers.emulator(release, name, Path("/pi")).split()
    assert words[words.index("-cpu") + 1].startswith("cortex-a")


def test_what_is_missing_is_told_with_the_packages_that_bring_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if "qemu" in name else name)
    reason = releases.why_not(releases.FOR_COUNTING)
    assert reason
    assert reason.startswith("qemu-aarch64-static, qemu-arm-static, qemu-aarch64: not installed")
    assert reason.endswith("(apt-get install qemu-user qemu-user-static)")
