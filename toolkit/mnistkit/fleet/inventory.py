"""The boards of a run: from options to Ansible's inventory and limit."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from mnistkit.core import files
from mnistkit.core.errors import OptionError, StorageError

TARGET = re.compile(r"(?:(?P<user>[^@\s-][^@\s]*)@)?(?P<host>\w[\w.-]*|\[[\da-fA-F:.]+(?:%\w+)?\])(?::(?P<port>\d+))?")
FAILED = "@failed"


@dataclass(frozen=True)
class Fleet:
    """The boards of a run, either hosts or an inventory, and what is installed on them."""

    hosts: tuple[str, ...] = ()  # as for ssh: host or user@host, with an optional :port
    inventory: Path | None = None
    only: str | None = None  # an Ansible host pattern, or "@failed": the boards that failed in the last run
    wheel: Path | None = None  # None: built from the running mnistkit
    wheelhouse: Path | None = None  # folder of wheels; None: pip on the board uses its own index
    results_dir: Path | None = None


def arguments(fleet: Fleet, folder: Path, failed: tuple[str, ...]) -> list[str]:
    """Ansible's arguments that select the boards; writes an inventory of the hosts to `folder`.

    Raises OptionError if a host is invalid or `only` is "@failed" and no board failed, StorageError if the inventory
    does not exist.
    """
    if fleet.inventory is not None and not fleet.inventory.exists():
        raise StorageError(f"inventory not found: {fleet.inventory}", "check the path")
    inventory = fleet.inventory or _write(fleet.hosts, folder / "hosts.json")
    if fleet.only == FAILED and not failed:
        raise OptionError("no board failed in the last run", "run without --only")
    pattern = ",".join(failed) if fleet.only == FAILED else fleet.only
    # The comma is needed: Ansible may take a pattern without one for the name of a file.
    return ["--inventory", str(inventory.resolve()), *(["--limit", f"{pattern},"] if pattern else [])]


def _write(targets: tuple[str, ...], path: Path) -> Path:
    hosts: dict[str, dict[str, str | int]] = {}
    for target in targets:
        name, variables = _parse(target)
        if name in hosts:
            raise OptionError(f"{name} is given twice", "pass each board once")
        hosts[name] = variables
    files.write_bytes(path, json.dumps({"all": {"hosts": hosts}}).encode())
    return path


def _parse(target: str) -> tuple[str, dict[str, str | int]]:
    """The inventory name and the connection variables of a host; everything else comes from the SSH configuration."""
    match = TARGET.fullmatch(target)
    if not match:
        raise OptionError(f"invalid host: {target!r}", "pass it as for ssh, such as pi@raspberrypi.local")
    host = match["host"].strip("[]")
    variables: dict[str, str | int] = {"ansible_host": host}
    if match["user"]:
        variables["ansible_user"] = match["user"]
    if match["port"]:
        variables["ansible_port"] = int(match["port"])
    # Not host:port: Ansible removes the port from a name, and would treat two boards behind one address as one.
    return f"{host}#{match['port']}" if match["port"] else host, variables
