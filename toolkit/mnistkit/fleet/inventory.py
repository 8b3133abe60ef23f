"""Which boards: what the user says, as Ansible takes it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from mnistkit.core import files
from mnistkit.core.errors import OptionError, StorageError

TARGET = re.compile(r"(?:(?P<user>[^@\s-][^@\s]*)@)?(?P<host>\w[\w.-]*|\[[\da-fA-F:.]+(?:%\w+)?\])(?::(?P<port>\d+))?")
FAILED = "@failed"


@dataclass(frozen=True)
class Boards:
    """The boards that are named, or those of an inventory, or the ones among them that a pattern fits."""

    hosts: tuple[str, ...] = ()  # as ssh takes them: host, user@host; or with :port
    inventory: Path | None = None
    only: str | None = None  # a host pattern of Ansible's, or those that failed last


def arguments(boards: Boards, folder: Path, failed: tuple[str, ...]) -> list[str]:
    """The options that tell Ansible; writes an inventory of the targets to `folder`.

    Raises OptionError where a target is none or none failed last, StorageError where there is no such inventory.
    """
    if boards.inventory is not None and not boards.inventory.exists():
        raise StorageError(f"there is no inventory {boards.inventory}", "check the path")
    source = boards.inventory or _write(boards.hosts, folder / "hosts.json")
    if boards.only == FAILED and not failed:
        raise OptionError("no board failed in the last run", "leave --only out")
    only = ",".join(failed) if boards.only == FAILED else boards.only
    # With a comma, for a plain name could be that of a file.
    return ["--inventory", str(source.resolve()), *(["--limit", f"{only},"] if only else [])]


def _write(targets: tuple[str, ...], path: Path) -> Path:
    hosts: dict[str, dict[str, str | int]] = {}
    for target in targets:
        name, variables = _parsed(target)
        if name in hosts:
            raise OptionError(f"{name} is named twice", "name each board once")
        hosts[name] = variables
    files.write_bytes(path, json.dumps({"all": {"hosts": hosts}}).encode())
    return path


def _parsed(target: str) -> tuple[str, dict[str, str | int]]:
    """A board's name, and what Ansible must know to reach it; the rest stands in the user's SSH configuration."""
    found = TARGET.fullmatch(target)
    if not found:
        raise OptionError(f"{target!r} names no board", "say it as for ssh, such as pi@raspberrypi.local")
    host = found["host"].strip("[]")
    variables: dict[str, str | int] = {"ansible_host": host}
    if found["user"]:
        variables["ansible_user"] = found["user"]
    if found["port"]:
        variables["ansible_port"] = int(found["port"])
    # Not with a colon: Ansible would take the port off, and two boards behind one address for one.
    return f"{host}#{found['port']}" if found["port"] else host, variables
