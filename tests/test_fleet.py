"""Boards over SSH: real SSH servers on loopback, each with its own home folder and host key."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jsonschema
import pytest
from support import BRIEFLY, ROOT, Cli, Result

import loopback
from loopback import Board, Network
from mnistkit.core import records
from mnistkit.fleet import failures, playbook, wheel
from mnistkit.fleet.report import FleetReport, Host
from mnistkit.verify.report import Family

IMAGES = "--limit", "200", "--margin", "5"

EXTRA = "litert"  # a single runtime, to save time
SECRET = "hunter2"  # noqa: S105  # not a real password


@dataclass(frozen=True)
class Fleet:
    """The network of boards, the wheels for them, and a bundle."""

    network: Network
    wheelhouse: Path
    bundle: Path

    def inventory(self, folder: Path, *names: str, **variables: object) -> Path:
        """Write an inventory of these boards."""
        # The default, python3, may be another Python than the one that the wheels are for.
        common: dict[str, object] = {"ansible_python_interpreter": sys.executable, "mnistkit_python": sys.executable}
        common |= {"mnistkit_extra": EXTRA} | variables
        path = folder / "hosts.json"
        path.write_text(json.dumps({"all": {"hosts": {name: {} for name in names}, "vars": common}}))
        return path

    def add_prepared(self, name: str) -> Board:
        """Add a board with a copy of the installation on pi-a, and switch it on."""
        board = self.network.add(name)
        board.copy_installation(self.network.boards["pi-a"])
        board.switch_on()
        return board


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if not loopback.SSHD:
        pytest.skip(loopback.MISSING)
    with loopback.network(tmp_path_factory.mktemp("net")) as network:
        yield network


@pytest.fixture(autouse=True)
def environment(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Ansible use the SSH configuration of the network."""
    for name, value in network.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def empty_fleet(network: Network, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A board, pi-a, with nothing installed."""
    network.add("pi-a").switch_on()
    return Fleet(network, loopback.wheelhouse(tmp_path_factory.mktemp("wheels"), EXTRA), workspace / "bundle")


@pytest.fixture(scope="module")
def first_deploy(empty_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    """The report of the first deployment to pi-a."""
    folder = tmp_path_factory.mktemp("first")
    inventory, report = empty_fleet.inventory(folder, "pi-a"), folder / "fleet.json"
    command = [sys.executable, "-m", "mnistkit", "fleet", "deploy", str(empty_fleet.bundle)]
    command += ["--inventory", str(inventory), "--wheelhouse", str(empty_fleet.wheelhouse), "--json", str(report)]
    environment = os.environ | empty_fleet.network.environment | {"XDG_STATE_HOME": str(folder)}
    completed = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return read_report(folder)


@pytest.fixture(scope="module")
def fleet(empty_fleet: Fleet, first_deploy: FleetReport) -> Fleet:
    """Two boards, pi-a and pi-b, after the first deployment."""
    assert first_deploy.failed == ()
    empty_fleet.add_prepared("pi-b")
    return empty_fleet


@pytest.fixture
def run_fleet(fleet: Fleet, mnistkit: Cli, tmp_path: Path) -> Cli:
    """Run `mnistkit fleet`: arguments that are names of boards select the boards, the others are options."""

    def run(command: str, *arguments: str, **variables: object) -> Result:
        names = [argument for argument in arguments if argument in fleet.network.boards]
        options = [argument for argument in arguments if argument not in names]
        inventory = fleet.inventory(tmp_path, *names, **variables)
        options += ["--wheelhouse", str(fleet.wheelhouse), "--json", str(tmp_path / "fleet.json"), "--force"]
        return mnistkit("fleet", command, fleet.bundle, "--inventory", inventory, *options)

    return run


def read_report(folder: Path) -> FleetReport:
    return records.read(folder / "fleet.json", FleetReport, "")


def read_hosts(folder: Path) -> dict[str, Host]:
    return {host.host: host for host in read_report(folder).hosts}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_deploy_installs_the_bundle_and_an_environment(fleet: Fleet, first_deploy: FleetReport) -> None:
    (host,) = first_deploy.hosts
    assert (host.host, host.status) == ("pi-a", "ok")
    assert {"Unpack the bundle", "Install mnistkit"} <= set(host.changed)
    folder = fleet.network.boards["pi-a"].install_folder
    assert contents(folder / "bundles" / first_deploy.bundle_sha256[:16]) == contents(fleet.bundle)
    assert {path.name for path in folder.iterdir()} == {"bundles", "env", "results", "wheels"}
    assert [path.suffix for path in (folder / "wheels").iterdir()] == [".whl"]
    assert [path.name for path in (folder / "bundles").iterdir()] == [first_deploy.bundle_sha256[:16]]


def test_repeated_deploy_changes_nothing(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    folder = fleet.network.boards["pi-a"].install_folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = run_fleet("deploy", "pi-a", "pi-b")
    assert result.code == 0, result.err
    assert [host.changed for host in read_report(tmp_path).hosts] == [(), ()]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_corrupt_bundle_on_a_board_is_replaced(
    run_fleet: Cli, fleet: Fleet, first_deploy: FleetReport, tmp_path: Path
) -> None:
    board = fleet.add_prepared("pi-corrupt")
    bundle = board.install_folder / "bundles" / first_deploy.bundle_sha256[:16]
    content = bytearray((bundle / "model.int8.tflite").read_bytes())
    content[5000] ^= 1
    (bundle / "model.int8.tflite").unlink()  # a hard link to the file on pi-a
    (bundle / "model.int8.tflite").write_bytes(content)
    (bundle.parent / f".new-{bundle.name}").mkdir()  # left by an interrupted copy
    assert run_fleet("deploy", "pi-corrupt").code == 0
    assert read_hosts(tmp_path)["pi-corrupt"].changed == ("Copy the bundle", "Unpack the bundle")
    assert contents(bundle) == contents(fleet.bundle)
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_interrupted_installation_is_repeated(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    board = fleet.add_prepared("pi-interrupted")
    (board.install_folder / "env/.complete").unlink()
    (module,) = board.install_folder.glob("env/lib/*/site-packages/mnistkit/cli/main.py")
    module.unlink()
    result = run_fleet("deploy", "pi-interrupted")
    assert result.code == 0, result.out
    assert "Create the environment" in read_hosts(tmp_path)["pi-interrupted"].changed
    assert module.exists()


def test_new_mnistkit_wheel_is_installed_without_the_wheelhouse(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    board = fleet.add_prepared("pi-outdated")
    new_wheel = wheel.build(tmp_path / "new")
    with zipfile.ZipFile(new_wheel, "a") as archive:
        archive.comment = b"changes the SHA-256"
    result = run_fleet("deploy", "pi-outdated", "--wheel", str(new_wheel))
    assert result.code == 0, result.out
    changed = read_hosts(tmp_path)["pi-outdated"].changed
    assert "Replace mnistkit" in changed
    assert "Copy the wheelhouse" not in changed
    assert run_fleet("deploy", "pi-outdated", "--wheel", str(new_wheel)).code == 0
    assert read_hosts(tmp_path)["pi-outdated"].changed == ()
    (numpy,) = board.install_folder.glob("env/lib/*/site-packages/numpy-*.dist-info")
    shutil.rmtree(numpy)
    assert run_fleet("deploy", "pi-outdated").code == 0  # a dependency is missing
    assert "Install mnistkit" in read_hosts(tmp_path)["pi-outdated"].changed
    assert numpy.exists()


def test_boards_predict_the_same_as_this_machine(run_fleet: Cli, tmp_path: Path) -> None:
    result = run_fleet("verify", "pi-a", "pi-b", *IMAGES, "--holm")
    assert result.code == 0, result.err
    report = read_report(tmp_path)
    assert report.verdict == "PASS"
    assert report.family == Family(tests=10, holm=True, error=0.025)
    assert "10 tests at once" in result.out
    assert report.not_compared == ""
    for host in report.hosts:
        assert host.verify
        assert host.comparison
        assert len(host.verify.rows) == len(host.comparison.artifacts) == 5  # with C, which was made here
        assert {artifact.differing_images for artifact in host.comparison.artifacts} == {0}
        assert (host.verify.images, host.verify.margin) == (200, 5)
    assert [(row.metric, row.hosts) for row in report.spread] == [("accuracy", 2)] * 5
    assert result.out.count("PASS") == 2
    schema = json.loads((ROOT / "docs/schemas/fleet.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "fleet.json").read_text()), schema)


def test_boards_run_only_code_that_this_machine_trusts(
    run_fleet: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another-machine"))
    result = run_fleet("verify", "pi-a", *IMAGES)
    assert "not run: the code was made on another machine; pass --trust-code" in result.out
    assert run_fleet("verify", "pi-a", *IMAGES, "--runtime", "c", "--trust-code").code == 0
    (host,) = read_report(tmp_path).hosts
    assert host.verify
    assert [row.runtime for row in host.verify.rows] == ["c"]


def test_inconclusive_verdict_on_a_board_exits_with_3(run_fleet: Cli) -> None:
    few_images = "--limit", "20", "--runtime", "litert"
    assert run_fleet("verify", "pi-a", *few_images).code == 3
    assert run_fleet("verify", "pi-a", *few_images, "--allow-inconclusive").code == 0


def test_bench_measures_on_boards(run_fleet: Cli, tmp_path: Path) -> None:
    result = run_fleet("bench", "pi-a", "pi-b", *BRIEFLY, "--runtime", "litert")
    assert result.code == 0, result.err
    report = read_report(tmp_path)
    for host in report.hosts:
        assert host.bench
        assert [row.runtime for row in host.bench.measurements] == ["litert"] * 4
    assert [(row.metric, row.hosts) for row in report.spread] == [("p50", 2)] * 4
    assert all(0 < row.lowest <= row.median <= row.highest for row in report.spread)


def test_results_dir_keeps_the_result_files(run_fleet: Cli, mnistkit: Cli, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert run_fleet("verify", "pi-a", *IMAGES, "--results-dir", str(results)).code == 0
    assert run_fleet("bench", "pi-a", *BRIEFLY, "--results-dir", str(results)).code == 0
    assert set(contents(results / "pi-a")) == {"verify.json", "predictions.npz", "bench.json"}
    predictions = results / "pi-a/predictions.npz"
    assert mnistkit("compare", predictions, predictions, "--margin", 5).code == 0
    # One process is too few for an interval.
    assert mnistkit("recommend", results / "pi-a/verify.json", results / "pi-a/bench.json").code == 3


def test_bench_on_an_emulated_board_fails(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    board = fleet.add_prepared("pi-emulated")
    (packages,) = board.install_folder.glob("env/lib/*/site-packages")
    (packages / "emulated.pth").write_text("import mnistkit.device.machine as m; m._is_emulated = lambda: True\n")
    result = run_fleet("bench", "pi-a", "pi-emulated", *BRIEFLY, "--runtime", "litert")
    assert result.code == 1
    hosts = read_hosts(tmp_path)
    assert (hosts["pi-a"].status, hosts["pi-emulated"].status) == ("ok", "failed")
    assert hosts["pi-emulated"].problem == "this processor is emulated, so its latencies are meaningless"
    assert hosts["pi-emulated"].remedy == "measure on the device"


def test_failing_boards_do_not_affect_the_others(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    network = fleet.network
    network.add("pi-off")
    network.add("pi-unknown-key", known=False).switch_on()
    changed = network.add("pi-changed-key", known=False)
    network.add_known_host("pi-changed-key", network.boards["pi-a"].folder / "host_key.pub")
    changed.switch_on()
    network.add("pi-refusing-login", accepts_key=False).switch_on()
    names = "pi-off", "pi-unknown-key", "pi-a", "pi-changed-key", "pi-refusing-login"
    result = run_fleet("verify", *names, *IMAGES)
    assert result.code == 1
    hosts = read_hosts(tmp_path)
    assert hosts["pi-a"].status == "ok"
    assert hosts["pi-a"].verify
    assert {name: host.problem for name, host in hosts.items() if host.status == "unreachable"} == {
        "pi-off": "connection refused",
        "pi-unknown-key": "host key is unknown",
        "pi-changed-key": "host key has changed",
        "pi-refusing-login": "login refused: permission denied",
    }
    assert all(host.remedy for name, host in hosts.items() if name != "pi-a")
    assert "Verified on 1 of 5 boards" in result.out
    assert "pi-unknown-key" not in (network.folder / "known_hosts").read_text()


def test_only_failed_selects_the_boards_that_failed(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    board = fleet.add_prepared("pi-late")
    board.cut_power()
    assert run_fleet("verify", "pi-a", "pi-late", *IMAGES).code == 1
    board.switch_on()
    assert run_fleet("verify", "pi-a", "pi-late", *IMAGES, "--only", "@failed").code == 0
    assert list(read_hosts(tmp_path)) == ["pi-late"]
    result = run_fleet("verify", "pi-a", "pi-late", *IMAGES, "--only", "@failed")
    assert result.code == 2
    assert "no board failed in the last run" in result.err


def test_only_failed_selects_the_boards_of_an_interrupted_run(fleet: Fleet, mnistkit: Cli, tmp_path: Path) -> None:
    board = fleet.network.boards["pi-b"]
    inventory = fleet.inventory(tmp_path, "pi-b")
    options = "--inventory", str(inventory), "--wheelhouse", str(fleet.wheelhouse)
    command = [sys.executable, "-m", "mnistkit", "fleet", "bench", str(fleet.bundle), "--seconds", "60", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not board.is_running("-m mnistkit bench"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    board.cut_power()
    board.switch_on()
    result = mnistkit("fleet", "deploy", fleet.bundle, *options, "--only", "@failed", "--json", "-")
    assert [host["host"] for host in json.loads(result.out)["hosts"]] == ["pi-b"]


def test_only_limits_the_boards_by_a_pattern(run_fleet: Cli, tmp_path: Path) -> None:
    assert run_fleet("deploy", "pi-a", "pi-b", "--only", "*-b").code == 0
    assert list(read_hosts(tmp_path)) == ["pi-b"]
    result = run_fleet("deploy", "pi-a", "--only", "tower")
    assert result.code == 2
    assert "check the inventory and --only" in result.err


def test_power_loss_during_a_run_is_reported(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    board = fleet.add_prepared("pi-power-loss")
    finished = threading.Event()

    def cut_power_during_verify() -> None:
        while not board.is_running("-m mnistkit verify") and not finished.wait(0.01):
            pass
        board.cut_power()

    thread = threading.Thread(target=cut_power_during_verify)
    thread.start()
    result = run_fleet("verify", "pi-a", "pi-power-loss", *IMAGES)
    finished.set()
    thread.join()
    assert result.code == 1
    hosts = read_hosts(tmp_path)
    assert hosts["pi-a"].verify
    lost = hosts["pi-power-loss"]
    assert (lost.status, lost.problem) == ("unreachable", "connection lost during task 'Run mnistkit'")


def test_full_disk_fails_only_its_board(run_fleet: Cli, fleet: Fleet, tmp_path: Path) -> None:
    board = fleet.network.add("pi-full")
    folder = board.install_folder
    folder.mkdir(parents=True)
    mount = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mount or mount.returncode:
        pytest.skip("no permission to mount a small disk")
    try:
        board.switch_on()
        result = run_fleet("verify", "pi-a", "pi-full", *IMAGES)
        bundles = [path.name for path in (folder / "bundles").iterdir()]
    finally:
        board.cut_power()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    assert result.code == 1
    hosts = read_hosts(tmp_path)
    assert (hosts["pi-a"].status, hosts["pi-full"].status) == ("ok", "failed")
    assert hosts["pi-full"].problem == "disk is full"
    assert read_report(tmp_path).bundle_sha256[:16] not in bundles


def test_missing_python_on_a_board_is_reported(run_fleet: Cli, tmp_path: Path) -> None:
    assert run_fleet("deploy", "pi-a", mnistkit_python="python3.99").code == 1
    host = read_hosts(tmp_path)["pi-a"]
    assert host.problem == "python3.99 not found"
    assert host.remedy == "install it on the board, or set mnistkit_python in an inventory"


def test_credentials_are_not_printed_or_written(fleet: Fleet, mnistkit: Cli, tmp_path: Path) -> None:
    board = fleet.network.add("pi-credentials")
    (board.home / ".config/pip").mkdir(parents=True)
    index = f"http://user:{SECRET}@127.0.0.1:9/simple"
    config = f"[global]\nindex-url = {index}\nextra-index-url =\nfind-links =\nretries = 1\n"
    (board.home / ".config/pip/pip.conf").write_text(config)
    board.switch_on()
    inventory = fleet.inventory(tmp_path, "pi-credentials", ansible_become_password=SECRET)
    result = mnistkit("fleet", "deploy", fleet.bundle, "--inventory", inventory, "--json", tmp_path / "fleet.json")
    assert result.code == 1
    host = read_hosts(tmp_path)["pi-credentials"]
    assert host.problem == "pip can't reach its package index"
    assert "--wheelhouse" in host.remedy
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path != inventory]
    assert not any(SECRET in text for text in [result.out, result.err, *written])


def test_credentials_in_urls_are_redacted() -> None:
    text = failures.redact_credentials(f"no route to https://user:{SECRET}@index.example/simple, retrying")
    assert text == "no route to https://***@index.example/simple, retrying"


def test_playbook_works_with_ansible_alone(fleet: Fleet, tmp_path: Path) -> None:
    inventory = fleet.inventory(tmp_path, "pi-a")
    variables = {
        "mnistkit_bundle": os.path.relpath(fleet.bundle, tmp_path),
        "mnistkit_wheel": wheel.build(tmp_path).name,
        "mnistkit_wheelhouse": str(fleet.wheelhouse),
        "mnistkit_action": "verify",
        "mnistkit_options": IMAGES,
    }
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook.PLAYBOOK)]
    command += ["-e", json.dumps(variables)]
    environment = os.environ | {"PWD": str(tmp_path)}
    completed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "changed=0" in completed.stdout
    assert json.loads((tmp_path / "results/pi-a/verify.json").read_text())["verdict"] == "PASS"


def test_wheel_is_reproducible_and_contains_the_playbook(tmp_path: Path) -> None:
    first, second = wheel.build(tmp_path / "first"), wheel.build(tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert "mnistkit/fleet/roles/board/tasks/main.yml" in names
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_must_be_given_if_mnistkit_is_not_installed(
    mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", not_found)
    result = mnistkit("fleet", "deploy", workspace / "bundle", "--host", "pi-a")
    assert result.code == 2
    assert "--wheel" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy",), "no boards are given; pass either --host or --inventory"),
        (
            ("deploy", "--host", "a", "--inventory", "b"),
            "--host and --inventory are both given; pass either --host or --inventory",
        ),
        (("verify", "--only", "@failed"), "no boards are given; pass either --host or --inventory"),
        (("verify", "--host", "a", "--junit", "x.xml"), "No such option '--junit'"),
        (("bench", "--host", "a", "--compare", "old.json"), "No such option '--compare'"),
        (("deploy", "--host", "-oProxyCommand=touch"), "invalid host: '-oProxyCommand=touch'; pass it as for ssh"),
        (("deploy", "--host", "pi@a", "--host", "root@a"), "a is given twice"),
        (("deploy", "--inventory", "missing.yml"), "inventory not found: missing.yml"),
        (("deploy", "--host", "a", "--wheelhouse", "."), "no wheels in ."),
        (("deploy", "--host", "a", "--wheel", "none.whl"), "cannot read none.whl"),
    ],
)
def test_invalid_usage_is_reported_in_one_line(
    mnistkit: Cli,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = mnistkit("fleet", arguments[0], workspace / "bundle", *arguments[1:])
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("reached", "output", "problem"),
    [
        (False, "ssh: connect to host 10.0.0.9 port 22: No route to host", "no response"),
        (False, "ssh: Could not resolve hostname pi: Name or service not known", "host name not found"),
        (
            True,
            "The virtual environment was not created successfully because ensurepip is not available.",
            "Python can't create a virtual environment",
        ),
        (True, "OSError: [Errno 30] Read-only file system: 'env'", "disk is read-only"),
        (
            True,
            "ERROR: No matching distribution found for onnxruntime>=1.17",
            "no wheel of onnxruntime found for the board's Python",
        ),
        (True, "/bin/sh: 1: /usr/bin/python3: not found", "no Python found"),
        (True, "mnistkit: a is corrupt; copy it again", "a is corrupt"),
        (True, "something; else", "task 'Step' failed: something; else"),
    ],
)
def test_known_failures_are_explained(reached: bool, output: str, problem: str) -> None:
    outputs = {"msg": "Task failed.", "stderr": output}
    explanation, remedy = failures.explain("Step", outputs, reached=reached, started=False)
    assert explanation.startswith(problem)
    assert remedy
