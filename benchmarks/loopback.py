"""Boards that are none: real SSH servers on this machine, each with a port, a host key and a home of its own.

For the tests, which put emulated boards behind some, and for fleet.py. Nothing of the user's own SSH configuration,
keys or known hosts is read or changed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
MISSING = "sshd is not installed: apt install openssh-server"
SEPARATION = Path("/run/sshd")  # where sshd, started by root, puts its unprivileged half
DEADLINE = 20  # seconds, for a server to listen
DEVICE_NEEDS = ("click", "numpy", "rich", "ai-edge-litert", "onnxruntime")
SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
SetEnv HOME={home} PIP_NO_COMPILE=1
{login}"""
CLIENT = """\
Host *
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
"""


@dataclass
class Board:
    """A server that takes connections while it is on."""

    name: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def home(self) -> Path:
        """The home of whoever logs in."""
        return self.folder / "home"

    @property
    def data(self) -> Path:
        """Where mnistkit puts all it brings."""
        return self.home / ".local/share/mnistkit"

    def switch_on(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [str(SSHD), "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "log")],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + DEADLINE
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def cut_power(self) -> None:
        """End it and all that runs there, at once."""
        if self.process:
            for pid in [*self.running(), self.process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def running(self) -> list[int]:
        """The processes there."""
        return list(_descendants(self.process.pid)) if self.process else []

    def runs(self, words: str) -> bool:
        """Whether a command line there holds these words."""
        return any(words in _command_line(pid) for pid in self.running())

    def copy_of(self, other: Board) -> None:
        """Give it what mnistkit brought to another."""
        shutil.copytree(other.data, self.data, symlinks=True, copy_function=os.link)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass(frozen=True)
class Network:
    """The boards, and what a client needs to reach them."""

    folder: Path
    boards: dict[str, Board]

    @property
    def environment(self) -> dict[str, str]:
        """What makes Ansible use the client's configuration that stands here, and share no connection with others."""
        return {
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {self.folder / 'config'}",
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible/tmp"),
        }

    def add(self, name: str, *, known: bool = True, welcome: bool = True, login: Path | None = None) -> Board:
        """A board that is off; with `known`, its host key is in known_hosts, with `welcome` it takes the client's.

        `login` is a program that runs every command in the shell's place, as SSH_ORIGINAL_COMMAND.
        """
        board = Board(name, self.folder / name, _free_port())
        board.home.mkdir(parents=True)
        _make_key(board.folder / "host_key")
        authorized = self.folder / "key.pub" if welcome else board.folder / "nobody"
        words = {"port": board.port, "folder": board.folder, "authorized": authorized, "home": board.home}
        settings = SERVER.format(**words, login=f"ForceCommand {login}\n" if login else "")
        (board.folder / "sshd_config").write_text(settings)
        entry = f"Host {name}\n  HostName 127.0.0.1\n  Port {board.port}\n  HostKeyAlias {name}\n"
        config = self.folder / "config"
        config.write_text(entry + config.read_text())
        if known:
            self.know(name, board.folder / "host_key.pub")
        self.boards[name] = board
        return board

    def know(self, name: str, key: Path) -> None:
        """Take a host's public key as known."""
        with (self.folder / "known_hosts").open("a") as file:
            file.write(f"{name} {key.read_text()}")


@contextlib.contextmanager
def network(folder: Path) -> Iterator[Network]:
    """An empty network; all its boards are switched off at the end."""
    if os.geteuid() == 0:
        SEPARATION.mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    _make_key(folder / "key")
    (folder / "known_hosts").touch()
    (folder / "config").write_text(CLIENT.format(user=getpass.getuser(), folder=folder))
    found = Network(folder, {})
    try:
        yield found
    finally:
        for board in found.boards.values():
            board.cut_power()


def wheelhouse(folder: Path) -> Path:
    """Wheels of what is installed here that a device needs, so that boards can be given the same without internet."""
    folder.mkdir(parents=True)
    for distribution in _closure(DEVICE_NEEDS):
        _repack(distribution, folder)
    return folder


def _closure(names: Iterable[str]) -> Iterator[metadata.Distribution]:
    """The distributions of these names, and all that they require here."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    seen: set[str] = set()
    left = list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        wanted = map(Requirement, found.requires or ())
        left += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
        yield found


def _repack(found: metadata.Distribution, folder: Path) -> None:
    lines = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    python, abi, platform = (".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    name = f"{found.metadata['Name'].replace('-', '_').replace('.', '_')}-{found.version}-{python}-{abi}-{platform}.whl"
    with zipfile.ZipFile(folder / name, "w") as archive:
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in {"INSTALLER", "REQUESTED"}:
                archive.write(Path(str(found.locate_file(file))), str(file))


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)  # noqa: S607


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return
    for child in map(int, children):
        yield from _descendants(child)
        yield child


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
