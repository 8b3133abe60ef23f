"""A board behind SSH: a server on a port of this machine's loopback, whose every command runs on the board."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulated_pi.board import Board

SSHD = "/usr/sbin/sshd"
PATIENCE_SECONDS = 10.0
# Host keys are checked and nothing is asked: it either works with what stands here, or fails.
CLIENT = """Host {name}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {keys}/id
  IdentitiesOnly yes
  UserKnownHostsFile {keys}/known
  StrictHostKeyChecking yes
  BatchMode yes
"""


@dataclass(frozen=True)
class Server:
    """A server that runs: `ssh -F CONFIG NAME`."""

    name: str
    port: int
    config: Path  # the client's
    keys: Path  # the folder with the client's key `id` and the hosts that it knows, `known`


@contextmanager
def serve(board: Board, port: int, throttled: str = "0x0", name: str | None = None) -> Iterator[Server]:
    """Serve the board on that port of the loopback, under its own name or another, until the block ends.

    `throttled` is what the firmware answers to get_throttled. Raises OSError where the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-ssh-") as folder:
        keys = Path(folder)
        server = Server(name or board.name, port, keys / "config", keys)
        _write_keys(server)
        command = _sshd(board, server, throttled)
        with (keys / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                _await(process, server)
                yield server
            finally:
                process.terminate()


def _write_keys(server: Server) -> None:
    for name in ("id", "host"):
        command = "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(server.keys / name)
        subprocess.run(command, check=True)
    (server.keys / "authorized").write_text((server.keys / "id.pub").read_text())
    (server.keys / "known").write_text(f"[127.0.0.1]:{server.port} {(server.keys / 'host.pub').read_text()}")
    words = {"name": server.name, "port": server.port, "keys": server.keys, "user": getpass.getuser()}
    server.config.write_text(CLIENT.format(**words))


def _sshd(board: Board, server: Server, throttled: str) -> list[str]:
    """The command that serves in the foreground, and knows of nothing but what stands here."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)  # it won't start without
    options = {
        "ListenAddress": "127.0.0.1",
        "HostKey": server.keys / "host",
        "AuthorizedKeysFile": server.keys / "authorized",
        "StrictModes": "no",  # the folder of temporary files is anybody's
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PidFile": "none",
        "SetEnv": f"PI_THROTTLED={throttled}",
        "ForceCommand": board.folder / "login",
        "Subsystem": "sftp /usr/lib/openssh/sftp-server",
    }
    settings = [f"-o{name}={value}" for name, value in options.items()]
    return [SSHD, "-D", "-e", "-f", "/dev/null", "-p", str(server.port), *settings]


def _await(process: subprocess.Popen[bytes], server: Server) -> None:
    """Until it answers; another's server on that port is not taken for it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    log = server.keys / "log"
    while "Server listening" not in (said := log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise OSError(f"sshd does not serve on port {server.port}: {said.strip()}")
        time.sleep(0.01)


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
