"""A fleet of emulated boards, reached as boards are: by SSH, from one inventory, from an empty home on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Cli

import loopback
from emulated_pi import boards
from emulated_pi.board import Board
from loopback import Network
from mnistkit.core import records
from mnistkit.fleet.report import FleetReport, Host

BOARDS = "pi4", "pi5"
IMAGES = "--limit", "300", "--allow-inconclusive"


@pytest.fixture
def network(board: Callable[[str, str], Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """Two boards that are on, and one that is not."""
    if not loopback.SSHD:
        pytest.skip(loopback.MISSING)
    with loopback.network(tmp_path / "net") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        for name in BOARDS:
            found.add(name, login=board(name, "bookworm").folder / "login").switch_on()
        found.add("pi-down")
        yield found


def test_boards_are_prepared_and_verified_over_ssh(network: Network, cnn: Path, mnistkit: Cli, tmp_path: Path) -> None:
    inventory, report = tmp_path / "hosts.json", tmp_path / "fleet.json"
    inventory.write_text(json.dumps({"all": {"hosts": {name: {} for name in network.boards}}}))
    wheelhouse = tmp_path / "wheelhouse"

    def on_boards(command: str, *options: object) -> dict[str, Host]:
        fleet = "--inventory", inventory, "--wheelhouse", wheelhouse, "--json", report
        assert mnistkit(command, cnn, *fleet, *options).code == 1  # for the one that is down
        return {host.host: host for host in records.read(report, FleetReport, "").hosts}

    assert mnistkit("wheelhouse", "--target", "pi5", "--python", "3.11", "--out", wheelhouse).code == 0
    deployed = on_boards("deploy")
    assert {name: host.status for name, host in deployed.items()} == {
        "pi4": "ok",
        "pi5": "ok",
        "pi-down": "unreachable",
    }, deployed
    verified = on_boards("verify", *IMAGES)
    for name in BOARDS:
        host = verified[name]
        assert host.changed == ()
        assert host.verify
        assert host.comparison
        assert (host.verify.machine.cpu, host.verify.machine.emulated) == (boards.FACTS[name].model, True)
        assert [row.runtime for row in host.verify.rows] == ["litert"] * 4 + ["onnxruntime"] * 3
        assert {pairing.parity.agreement for pairing in host.comparison.artifacts} == {1}
    assert verified["pi-down"].problem == "it refuses connections"
