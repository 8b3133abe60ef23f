"""Boards over SSH: real SSH servers on this machine's loopback, each with a home and a host key of its own."""

from __future__ import annotations

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

IMAGES = "--limit", "200", "--margin", "5"
SECRET = "hunter2"  # noqa: S105  # of nobody


@dataclass(frozen=True)
class Fleet:
    """The network, what boards are installed from, and a bundle for them."""

    network: Network
    wheelhouse: Path
    bundle: Path

    def inventory(self, folder: Path, *names: str, **variables: object) -> Path:
        """An inventory of these boards."""
        # 'python3' could be another Python than the one that the wheels are for.
        common = {"ansible_python_interpreter": sys.executable, "mnistkit_python": sys.executable} | variables
        path = folder / "hosts.json"
        path.write_text(json.dumps({"all": {"hosts": {name: {} for name in names}, "vars": common}}))
        return path

    def prepared(self, name: str) -> Board:
        """A new board with all that the first has."""
        board = self.network.add(name)
        board.copy_of(self.network.boards["pi-a"])
        board.switch_on()
        return board


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if not loopback.SSHD:
        pytest.skip(loopback.MISSING)
    with loopback.network(tmp_path_factory.mktemp("net")) as found:
        yield found


@pytest.fixture(autouse=True)
def surroundings(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's own folder and SSH configuration."""
    for name, value in network.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def fleet(network: Network, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two boards, pi-a and pi-b, on which nothing is yet."""
    for name in ("pi-a", "pi-b"):
        network.add(name).switch_on()
    return Fleet(network, loopback.wheelhouse(tmp_path_factory.mktemp("wheels") / "house"), workspace / "bundle")


@pytest.fixture(scope="module")
def first(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    """What the first deployment to both came to."""
    folder = tmp_path_factory.mktemp("first")
    command = [sys.executable, "-m", "mnistkit", "deploy", str(fleet.bundle), "--wheelhouse", str(fleet.wheelhouse)]
    command += ["--inventory", str(fleet.inventory(folder, "pi-a", "pi-b")), "--json", str(folder / "fleet.json")]
    environment = os.environ | fleet.network.environment | {"XDG_STATE_HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return read(folder)


@pytest.fixture
def prepared(fleet: Fleet, first: FleetReport) -> Fleet:
    """The fleet, after that."""
    assert first.failed == ()
    return fleet


@pytest.fixture
def on(prepared: Fleet, mnistkit: Cli, tmp_path: Path) -> Cli:
    """Runs a command on the boards that are among its words; the others are options."""

    def run(command: str, *words: str, **variables: object) -> Result:
        names = [word for word in words if word in prepared.network.boards]
        options = [word for word in words if word not in names]
        inventory = prepared.inventory(tmp_path, *names, **variables)
        options += ["--wheelhouse", str(prepared.wheelhouse), "--json", str(tmp_path / "fleet.json")]
        options += ["--force"] if command == "bench" else []
        return mnistkit(command, prepared.bundle, "--inventory", inventory, *options)

    return run


def read(folder: Path) -> FleetReport:
    return records.read(folder / "fleet.json", FleetReport, "")


def hosts(folder: Path) -> dict[str, Host]:
    return {host.host: host for host in read(folder).hosts}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_board_gets_the_bundle_and_an_environment_in_one_folder(prepared: Fleet, first: FleetReport) -> None:
    assert {host.host: host.status for host in first.hosts} == {"pi-a": "ok", "pi-b": "ok"}
    assert all("Unpack the bundle" in host.changed and "Install mnistkit" in host.changed for host in first.hosts)
    for board in (prepared.network.boards["pi-a"], prepared.network.boards["pi-b"]):
        assert contents(board.data / "bundles" / first.bundle_sha256[:16]) == contents(prepared.bundle)
        assert {path.name for path in board.data.iterdir()} == {"bundles", "env", "results", "wheels"}
        assert [path.suffix for path in (board.data / "wheels").iterdir()] == [".whl"]
        assert [path.name for path in (board.data / "bundles").iterdir()] == [first.bundle_sha256[:16]]


def test_deploying_again_changes_nothing(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.network.boards["pi-a"].data.rglob("*")}
    outcome = on("deploy", "pi-a", "pi-b")
    assert outcome.code == 0, outcome.err
    assert [host.changed for host in read(tmp_path).hosts] == [(), ()]
    assert {path: path.stat().st_mtime_ns for path in prepared.network.boards["pi-a"].data.rglob("*")} == before


def test_what_was_spoilt_there_is_mended(on: Cli, prepared: Fleet, first: FleetReport, tmp_path: Path) -> None:
    board = prepared.prepared("pi-spoilt")
    bundle = board.data / "bundles" / first.bundle_sha256[:16]
    content = bytearray((bundle / "model.int8.tflite").read_bytes())
    content[5000] ^= 1
    (bundle / "model.int8.tflite").unlink()  # it shares its bytes with that of pi-a
    (bundle / "model.int8.tflite").write_bytes(content)
    (bundle.parent / f".new-{bundle.name}").mkdir()  # as an interrupted copy leaves it
    assert on("deploy", "pi-spoilt").code == 0
    assert hosts(tmp_path)["pi-spoilt"].changed == ("Send the bundle", "Unpack the bundle")
    assert contents(bundle) == contents(prepared.bundle)
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_an_installation_that_was_broken_off_is_made_anew(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    board = prepared.prepared("pi-half")
    (board.data / "env/.complete").unlink()
    (package,) = board.data.glob("env/lib/*/site-packages/mnistkit/cli/main.py")
    package.unlink()
    outcome = on("deploy", "pi-half")
    assert outcome.code == 0, outcome.out
    assert "Make the environment" in hosts(tmp_path)["pi-half"].changed
    assert package.exists()


def test_another_mnistkit_needs_no_wheelhouse_sent_again(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    board = prepared.prepared("pi-older")
    other = wheel.build(tmp_path / "other")
    with zipfile.ZipFile(other, "a") as archive:
        archive.comment = b"another"
    outcome = on("deploy", "pi-older", "--wheel", str(other))
    assert outcome.code == 0, outcome.out
    changed = hosts(tmp_path)["pi-older"].changed
    assert "Replace mnistkit" in changed
    assert "Send the wheelhouse" not in changed
    assert on("deploy", "pi-older", "--wheel", str(other)).code == 0
    assert hosts(tmp_path)["pi-older"].changed == ()
    (numpy,) = board.data.glob("env/lib/*/site-packages/numpy-*.dist-info")
    shutil.rmtree(numpy)
    assert on("deploy", "pi-older").code == 0  # what it needs is not all there
    assert "Install mnistkit" in hosts(tmp_path)["pi-older"].changed
    assert numpy.exists()


def test_boards_verify_as_this_machine_does(on: Cli, tmp_path: Path) -> None:
    outcome = on("verify", "pi-a", "pi-b", *IMAGES)
    assert outcome.code == 0, outcome.err
    report = read(tmp_path)
    assert report.verdict == "PASS"
    assert report.not_compared == ""
    for host in report.hosts:
        assert host.verify
        assert host.comparison
        assert len(host.verify.rows) == len(host.comparison.artifacts) == 7
        assert {pairing.images_differ for pairing in host.comparison.artifacts} == {0}
        assert (host.verify.images, host.verify.margin) == (200, 5)
    assert [(row.measure, row.hosts) for row in report.spread] == [("accuracy", 2)] * 7
    assert outcome.out.count("PASS") == 2
    schema = json.loads((ROOT / "docs/schemas/fleet.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "fleet.json").read_text()), schema)


def test_too_few_images_on_a_board_are_exit_code_3(on: Cli) -> None:
    few = "--limit", "20", "--runtime", "litert"
    assert on("verify", "pi-a", *few).code == 3
    assert on("verify", "pi-a", *few, "--allow-inconclusive").code == 0


def test_boards_measure_themselves(on: Cli, tmp_path: Path) -> None:
    outcome = on("bench", "pi-a", "pi-b", *BRIEFLY, "--runtime", "litert")
    assert outcome.code == 0, outcome.err
    report = read(tmp_path)
    for host in report.hosts:
        assert host.bench
        assert [row.runtime for row in host.bench.measurements] == ["litert"] * 4
    assert [(row.measure, row.hosts) for row in report.spread] == [("p50", 2)] * 4
    assert all(0 < row.lowest <= row.median <= row.highest for row in report.spread)


def test_what_boards_fetch_result_is_kept_on_request(on: Cli, mnistkit: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert on("verify", "pi-a", *IMAGES, "--keep", str(kept)).code == 0
    assert on("bench", "pi-a", *BRIEFLY, "--keep", str(kept)).code == 0
    assert set(contents(kept / "pi-a")) == {"verify.json", "predictions.npz", "bench.json"}
    saved = kept / "pi-a/predictions.npz"
    assert mnistkit("compare", saved, saved, "--margin", 5).code == 0
    assert mnistkit("recommend", kept / "pi-a/verify.json", kept / "pi-a/bench.json").code == 0


def test_a_board_that_emulates_its_processor_refuses_to_bench(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    board = prepared.prepared("pi-emulated")
    (packages,) = board.data.glob("env/lib/*/site-packages")
    (packages / "emulated.pth").write_text("import mnistkit.device.machine as m; m._is_emulated = lambda: True\n")
    outcome = on("bench", "pi-a", "pi-emulated", *BRIEFLY, "--runtime", "litert")
    assert outcome.code == 1
    found = hosts(tmp_path)
    assert (found["pi-a"].status, found["pi-emulated"].status) == ("ok", "failed")
    assert (
        found["pi-emulated"].problem == "this processor is emulated, and the time that takes says nothing of a device"
    )
    assert found["pi-emulated"].remedy == "measure on the device"


def test_boards_that_fail_hold_up_no_other(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    network = prepared.network
    network.add("pi-down")
    network.add("pi-stranger", known=False).switch_on()
    changed = network.add("pi-changed", known=False)
    network.know("pi-changed", network.boards["pi-a"].folder / "host_key.pub")
    changed.switch_on()
    network.add("pi-refusing", welcome=False).switch_on()
    outcome = on("verify", "pi-down", "pi-stranger", "pi-a", "pi-changed", "pi-refusing", *IMAGES)
    assert outcome.code == 1
    found = hosts(tmp_path)
    assert found["pi-a"].status == "ok"
    assert found["pi-a"].verify
    assert {name: host.problem for name, host in found.items() if host.status == "unreachable"} == {
        "pi-down": "it refuses connections",
        "pi-stranger": "its host key is not known here",
        "pi-changed": "its host key is not the one that is known of it",
        "pi-refusing": "it refuses the login",
    }
    assert all(host.remedy for name, host in found.items() if name != "pi-a")
    assert "1 of 5 boards verified" in outcome.out
    assert "pi-stranger" not in (network.folder / "known_hosts").read_text()


def test_those_that_failed_can_be_run_alone(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    late = prepared.prepared("pi-late")
    late.cut_power()
    assert on("verify", "pi-a", "pi-late", *IMAGES).code == 1
    late.switch_on()
    assert on("verify", "pi-a", "pi-late", *IMAGES, "--only", "@failed").code == 0
    assert list(hosts(tmp_path)) == ["pi-late"]
    outcome = on("verify", "pi-a", "pi-late", *IMAGES, "--only", "@failed")
    assert outcome.code == 2
    assert "no board failed in the last run" in outcome.err


def test_a_run_that_is_broken_off_can_be_continued(prepared: Fleet, mnistkit: Cli, tmp_path: Path) -> None:
    board = prepared.network.boards["pi-b"]
    inventory = prepared.inventory(tmp_path, "pi-b")
    arguments = "--inventory", str(inventory), "--wheelhouse", str(prepared.wheelhouse)
    command = [sys.executable, "-m", "mnistkit", "bench", str(prepared.bundle), "--seconds", "60", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not board.runs("-m mnistkit bench"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    board.cut_power()
    board.switch_on()
    outcome = mnistkit("deploy", prepared.bundle, *arguments, "--only", "@failed", "--json", "-")
    assert [host["host"] for host in json.loads(outcome.out)["hosts"]] == ["pi-b"]


def test_a_pattern_chooses_boards(on: Cli, tmp_path: Path) -> None:
    assert on("deploy", "pi-a", "pi-b", "--only", "*-b").code == 0
    assert list(hosts(tmp_path)) == ["pi-b"]
    outcome = on("deploy", "pi-a", "--only", "tower")
    assert outcome.code == 2
    assert "check the inventory and --only" in outcome.err


def test_a_board_that_loses_its_power_in_the_middle_is_reported(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    board = prepared.prepared("pi-cut")
    over = threading.Event()

    def cut() -> None:
        while not board.runs("-m mnistkit verify") and not over.wait(0.01):
            pass
        board.cut_power()

    thread = threading.Thread(target=cut)
    thread.start()
    outcome = on("verify", "pi-a", "pi-cut", *IMAGES)
    over.set()
    thread.join()
    assert outcome.code == 1
    found = hosts(tmp_path)
    assert found["pi-a"].verify
    assert (found["pi-cut"].status, found["pi-cut"].problem) == ("unreachable", "the connection was lost at 'Run'")


def test_a_full_disk_is_that_boards_failure_alone(on: Cli, prepared: Fleet, tmp_path: Path) -> None:
    board = prepared.network.add("pi-full")
    board.data.mkdir(parents=True)
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(board.data)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        board.switch_on()
        outcome = on("verify", "pi-a", "pi-full", *IMAGES)
        left = [path.name for path in (board.data / "bundles").iterdir()]
    finally:
        board.cut_power()
        subprocess.run(["umount", "--lazy", str(board.data)], check=True)
    assert outcome.code == 1
    found = hosts(tmp_path)
    assert (found["pi-a"].status, found["pi-full"].status) == ("ok", "failed")
    assert found["pi-full"].problem == "its disk is full"
    assert read(tmp_path).bundle_sha256[:16] not in left


def test_a_board_without_the_python_says_so(on: Cli, tmp_path: Path) -> None:
    assert on("deploy", "pi-a", mnistkit_python="python3.99").code == 1
    host = hosts(tmp_path)["pi-a"]
    assert host.problem == "it has no python3.99"
    assert host.remedy == "install it there, or set mnistkit_python"


def test_no_secret_is_told(prepared: Fleet, mnistkit: Cli, tmp_path: Path) -> None:
    board = prepared.network.add("pi-secret")
    (board.home / ".config/pip").mkdir(parents=True)
    index = f"http://user:{SECRET}@127.0.0.1:9/simple"
    settings = f"[global]\nindex-url = {index}\nextra-index-url =\nfind-links =\nretries = 1\n"
    (board.home / ".config/pip/pip.conf").write_text(settings)
    board.switch_on()
    inventory = prepared.inventory(tmp_path, "pi-secret", ansible_become_password=SECRET)
    outcome = mnistkit("deploy", prepared.bundle, "--inventory", inventory, "--json", tmp_path / "fleet.json")
    assert outcome.code == 1
    host = hosts(tmp_path)["pi-secret"]
    assert host.problem == "pip there can't reach its package index"
    assert "--wheelhouse" in host.remedy
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path != inventory]
    assert not any(SECRET in text for text in [outcome.out, outcome.err, *written])


def test_the_playbook_works_without_mnistkits_command(prepared: Fleet, tmp_path: Path) -> None:
    inventory = prepared.inventory(tmp_path, "pi-a")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook.PLAYBOOK)]
    command += ["-e", f"mnistkit_bundle={os.path.relpath(prepared.bundle, tmp_path)}"]
    command += [
        "-e",
        f"mnistkit_wheel={wheel.build(tmp_path).name}",
        "-e",
        f"mnistkit_wheelhouse={prepared.wheelhouse}",
    ]
    command += ["-e", json.dumps({"mnistkit_run": "verify", "mnistkit_options": IMAGES})]
    environment = os.environ | {"PWD": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert json.loads((tmp_path / "results/pi-a/verify.json").read_text())["verdict"] == "PASS"


def test_the_wheel_is_the_same_each_time_and_holds_the_playbook(tmp_path: Path) -> None:
    one, other = wheel.build(tmp_path / "one"), wheel.build(tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert "mnistkit/fleet/roles/board/tasks/main.yml" in names
    assert not [name for name in names if "__pycache__" in name]


def test_without_an_installation_the_wheel_must_be_named(
    mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", not_found)
    outcome = mnistkit("deploy", workspace / "bundle", "--on", "pi-a")
    assert outcome.code == 2
    assert "--wheel" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy",), "there is no board; name boards with --on or --inventory"),
        (("deploy", "--on", "a", "--inventory", "b"), "both name boards"),
        (("verify", "--only", "@failed"), "are for boards; name boards"),
        (("verify", "--on", "a", "--junit", "x.xml"), "--junit has no use with boards"),
        (("bench", "--on", "a", "--compare", "old.json"), "--compare has no use with boards"),
        (("deploy", "--on", "-oProxyCommand=touch"), "names no board; say it as for ssh"),
        (("deploy", "--on", "pi@a", "--on", "root@a"), "a is named twice"),
        (("deploy", "--inventory", "nowhere.yml"), "there is no inventory nowhere.yml"),
        (("deploy", "--on", "a", "--wheelhouse", "."), "holds no wheel"),
        (("deploy", "--on", "a", "--wheel", "none.whl"), "cannot read none.whl"),
    ],
)
def test_bad_usage_is_one_line(
    mnistkit: Cli,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mnistkit(arguments[0], workspace / "bundle", *arguments[1:])
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("unreachable: ssh: connect to host 10.0.0.9 port 22: No route to host", "it does not answer"),
        ("unreachable: ssh: Could not resolve hostname pi: Name or service not known", "there is no host of that name"),
        ("The virtual environment was not created successfully because ensurepip is not available.", "its Python can"),
        ("OSError: [Errno 30] Read-only file system: 'env'", "its disk can't be written"),
        ("ERROR: No matching distribution found for onnxruntime>=1.17", "pip finds no onnxruntime for its Python"),
        ("/bin/sh: 1: /usr/bin/python3: not found", "it has no Python"),
        ("mnistkit: a is broken; copy it again", "a is broken"),
        ("something; else", "'Step' failed: something; else"),
    ],
)
def test_reasons_are_told_in_words(said: str, problem: str) -> None:
    reached = not said.startswith("unreachable")
    found, remedy = failures.explain("Step", {"msg": "Task failed.", "stderr": said}, reached=reached, begun=False)
    assert found.startswith(problem)
    assert remedy
