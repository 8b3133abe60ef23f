"""What SSH and Ansible cost: sixteen loopback hosts, three made to fail, beside one; four artifacts on 100 images.

    python benchmarks/fleet.py

All share the cores of this machine, which boards would not: so little is verified.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

import loopback
import untrained
from loopback import Network
from mnistkit.cli import tables
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.fleet.report import FleetReport

HOSTS = 16
FAILING = ("off", "another-key", "refusing")
ROUNDS = 5
VERIFY = ("verify", "--limit", "100", "--margin", "100", "--runtime", "litert")


def boards(network: Network) -> tuple[str, ...]:
    """Thirteen that work, the first of which is yet to be prepared, and three that can't be had."""
    working = tuple(f"board-{number}" for number in range(HOSTS - len(FAILING)))
    for name in working:
        network.add(name).switch_on()
    network.add("off")
    network.add("another-key", known=False).switch_on()
    network.know("another-key", network.boards["board-0"].folder / "host_key.pub")
    network.add("refusing", welcome=False).switch_on()
    return working


class Commands:
    """Runs mnistkit on boards of the network."""

    def __init__(self, network: Network, bundle: Path, wheelhouse: Path) -> None:
        self._environment = os.environ | network.environment | {"XDG_STATE_HOME": str(network.folder / "state")}
        self._bundle, self._wheelhouse = bundle, wheelhouse
        self._folder = network.folder

    def run(self, words: tuple[str, ...], hosts: tuple[str, ...]) -> tuple[float, FleetReport]:
        """Seconds of the whole command, and its report."""
        python = {"ansible_python_interpreter": sys.executable, "mnistkit_python": sys.executable}
        inventory, report = self._folder / "hosts.json", self._folder / "fleet.json"
        inventory.write_text(json.dumps({"all": {"hosts": {host: {} for host in hosts}, "vars": python}}))
        command = [sys.executable, "-m", "mnistkit", words[0], str(self._bundle), *words[1:]]
        command += ["--inventory", str(inventory), "--wheelhouse", str(self._wheelhouse), "--json", str(report)]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment)
        seconds = time.perf_counter() - started
        if done.returncode not in {0, 1}:
            raise SystemExit(done.stderr)
        return seconds, records.read(report, FleetReport, "")


def main() -> None:
    """Print the figures beside their targets."""
    if not loopback.SSHD:
        Console().print(loopback.MISSING)
        return
    with tempfile.TemporaryDirectory() as name, loopback.network(Path(name) / "net") as network:
        working = boards(network)
        bundle = untrained.bundle("cnn", mnist.load(), Path(name))
        commands = Commands(network, bundle.path, loopback.wheelhouse(Path(name) / "wheels"))
        first, _ = commands.run(("deploy",), working[:1])
        for board in working[1:]:
            network.boards[board].copy_of(network.boards["board-0"])
        commands.run(VERIFY, working)  # what Python compiles on first use is no part of what follows
        alone, together, prepared = [], [], []
        for _ in range(ROUNDS):
            alone.append(commands.run(VERIFY, working[:1])[0])
            seconds, report = commands.run(VERIFY, (*working, *FAILING))
            together.append(seconds)
            prepared.append(commands.run(("deploy",), working[:1])[0])
    home = sum(host.verify is not None for host in report.hosts)
    one, all_of_them = statistics.median(alone), statistics.median(together)
    ratio = statistics.median(many / single for single, many in zip(alone, together, strict=True))
    grid = tables.table("Boards over SSH, on loopback", ("what",), ("measured", "target"))
    grid.add_row("one host, verified", f"{one:.1f} s")
    grid.add_row(f"{HOSTS} hosts, verified", f"{all_of_them:.1f} s")
    grid.add_row("the ratio", f"{ratio:.2f}", "≤ 3")
    grid.add_row("results home", f"{home} of {len(working)}", "all")
    told = len(set(report.failed) & set(FAILING))
    grid.add_row("made to fail, and told as failed", f"{told} of {len(FAILING)}", "all")
    grid.add_row("one board, nothing to do", f"{statistics.median(prepared):.1f} s", "≤ 15 s")
    grid.add_row("one board, everything to do", f"{first:.1f} s")
    Console().print(grid)


if __name__ == "__main__":
    main()
