"""Emulated boards as a fleet: reached over SSH from one inventory, starting with an empty home folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pi.cases import BoardFactory
from support import Cli

import loopback
from emulated_pi.specs import SPECS
from loopback import Network
from mnistkit.core import records
from mnistkit.fleet.report import FleetReport, Host

BOARDS = "pi4", "pi5"
IMAGES = "--limit", "300", "--allow-inconclusive"


@pytest.fixture
def network(board: BoardFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """Two boards that are on and one that is off."""
    if not loopback.SSHD:
        pytest.skip(loopback.MISSING)
    with loopback.network(tmp_path / "net") as network:
        for name, value in network.environment.items():
            monkeypatch.setenv(name, value)
        for name in BOARDS:
            network.add(name, login=board(name, "bookworm").folder / "login").switch_on()
        network.add("pi-down")
        yield network


def test_fleet_deploys_and_verifies_over_ssh(network: Network, cnn_bundle: Path, mnistkit: Cli, tmp_path: Path) -> None:
    inventory, report = tmp_path / "hosts.json", tmp_path / "fleet.json"
    inventory.write_text(json.dumps({"all": {"hosts": {name: {} for name in network.boards}}}))
    wheelhouse = tmp_path / "wheelhouse"

    def fleet(command: str, *options: object) -> dict[str, Host]:
        boards = "--inventory", inventory, "--wheelhouse", wheelhouse
        assert (
            mnistkit("fleet", command, cnn_bundle, *boards, *options, "--json", report, "--force").code == 1
        )  # one is off
        return {host.host: host for host in records.read(report, FleetReport, "").hosts}

    assert mnistkit("wheelhouse", "--target", "pi5", "--python", "3.11", "--out", wheelhouse).code == 0
    deployed = fleet("deploy")
    assert {name: host.status for name, host in deployed.items()} == {
        "pi4": "ok",
        "pi5": "ok",
        "pi-down": "unreachable",
    }, deployed
    verified = fleet("verify", *IMAGES)
    for name in BOARDS:
        host = verified[name]
        assert host.changed == ()
        assert host.verify
        assert host.comparison
        assert (host.verify.machine.cpu, host.verify.machine.emulated) == (SPECS[name].model, True)
        assert [row.runtime for row in host.verify.rows] == ["litert"] * 4 + ["onnxruntime"] * 3
        agreement = {row.artifact: row.parity.agreement for row in host.comparison.artifacts}
        # ONNX Runtime's int8 kernels for x86 processors without VNNI saturate, here but not on the board.
        assert agreement.pop("model.int8.onnx") >= 0.98
        assert set(agreement.values()) == {1}
    assert verified["pi-down"].problem == "connection refused"
