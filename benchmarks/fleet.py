"""The overhead of SSH and Ansible: one loopback host against sixteen, three of which fail; verify with 100 images.

    python benchmarks/fleet.py

Unlike real boards, all hosts share the cores of this machine, so that only four artifacts are verified.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import loopback
import untrained
from loopback import Network
from mnistkit.cli import tables, terminal
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.fleet.report import FleetReport

HOSTS = 16
FAILING = ("off", "changed-host-key", "refusing-login")
ROUNDS = 5
VERIFY = ("verify", "--limit", "100", "--margin", "100", "--runtime", "litert")


def add_boards(network: Network) -> tuple[str, ...]:
    """Add thirteen boards that work and three that can't be reached; returns the names of those that work."""
    working = tuple(f"board-{number}" for number in range(HOSTS - len(FAILING)))
    for name in working:
        network.add(name).switch_on()
    network.add("off")
    network.add("changed-host-key", known=False).switch_on()
    network.add_known_host("changed-host-key", network.boards["board-0"].folder / "host_key.pub")
    network.add("refusing-login", accepts_key=False).switch_on()
    return working


class FleetRunner:
    """Runs `mnistkit fleet` on boards of the network."""

    def __init__(self, network: Network, bundle: Path, wheelhouse: Path) -> None:
        self._environment = os.environ | network.environment | {"XDG_STATE_HOME": str(network.folder / "state")}
        self._bundle, self._wheelhouse = bundle, wheelhouse
        self._folder = network.folder

    def run(self, arguments: tuple[str, ...], hosts: tuple[str, ...]) -> tuple[float, FleetReport]:
        """The duration of the command in seconds, and its report."""
        python = {"ansible_python_interpreter": sys.executable, "mnistkit_python": sys.executable}
        inventory, report = self._folder / "hosts.json", self._folder / "fleet.json"
        inventory.write_text(json.dumps({"all": {"hosts": {host: {} for host in hosts}, "vars": python}}))
        command = [sys.executable, "-m", "mnistkit", "fleet", arguments[0], str(self._bundle), *arguments[1:]]
        command += ["--inventory", str(inventory), "--wheelhouse", str(self._wheelhouse)]
        command += ["--json", str(report), "--force"]
        start = time.perf_counter()
        completed = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment)
        seconds = time.perf_counter() - start
        if completed.returncode not in {0, 1}:
            raise SystemExit(completed.stderr)
        return seconds, records.read(report, FleetReport, "")


def main() -> None:
    """Print the measurements and their targets."""
    if not loopback.SSHD:
        terminal.show(loopback.MISSING)
        return
    with tempfile.TemporaryDirectory() as name, loopback.network(Path(name) / "net") as network:
        working = add_boards(network)
        bundle = untrained.bundle("cnn", mnist.load(), Path(name))
        fleet = FleetRunner(network, bundle.path, loopback.wheelhouse(Path(name) / "wheels"))
        first_deploy, _ = fleet.run(("deploy",), working[:1])
        for board in working[1:]:
            network.boards[board].copy_installation(network.boards["board-0"])
        fleet.run(VERIFY, working)  # a warm-up: Python compiles the modules on first use
        one_host, all_hosts, repeated_deploy = [], [], []
        for _ in range(ROUNDS):
            one_host.append(fleet.run(VERIFY, working[:1])[0])
            seconds, report = fleet.run(VERIFY, (*working, *FAILING))
            all_hosts.append(seconds)
            repeated_deploy.append(fleet.run(("deploy",), working[:1])[0])
    ratio = statistics.median(many / one for one, many in zip(one_host, all_hosts, strict=True))
    results = sum(host.verify is not None for host in report.hosts)
    failures = len(set(report.failed) & set(FAILING))
    grid = tables.table("Boards over SSH, on loopback", ("measurement",), ("result", "target"))
    grid.add_row("verify one host", f"{statistics.median(one_host):.1f} s")
    grid.add_row(f"verify {HOSTS} hosts", f"{statistics.median(all_hosts):.1f} s")
    grid.add_row(f"ratio of {HOSTS} hosts to one", f"{ratio:.2f}", "≤ 3")
    grid.add_row("results fetched", f"{results} of {len(working)}", "all")
    grid.add_row("failures reported", f"{failures} of {len(FAILING)}", "all")
    grid.add_row("deploy again to one host", f"{statistics.median(repeated_deploy):.1f} s", "≤ 15 s")
    grid.add_row("first deploy to one host", f"{first_deploy:.1f} s")
    terminal.show(grid)


if __name__ == "__main__":
    main()
