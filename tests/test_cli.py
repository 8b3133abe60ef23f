"""The command line as a whole: help, exit codes, faults. Most of it in processes of its own, as users have it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import BRIEFLY, Cli

from mnistkit import runtimes
from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode
from mnistkit.core.errors import MnistkitError

COMMAND = [sys.executable, "-m", "mnistkit"]


def leaves(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_help_imports_neither_numpy_nor_tensorflow_nor_rich() -> None:
    code = (
        "import sys\nfrom mnistkit import cli\nassert cli.run(['--help']) == 0\n"
        "assert not {'numpy', 'tensorflow', 'keras', 'onnxruntime', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_without_a_command_it_shows_help_and_exits_2(mnistkit: Cli) -> None:
    outcome = mnistkit()
    assert outcome.code == 2
    assert "Usage: mnistkit" in outcome.err


def test_the_version_is_the_packages(mnistkit: Cli) -> None:
    from importlib.metadata import version

    assert mnistkit("--version").out == f"mnistkit, version {version('mnistkit')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exprot",), "mnistkit: No such command 'exprot'"),
        (("verify", "--fast"), "mnistkit: No such option"),
        (("verify", "a", "b"), "mnistkit: Got unexpected extra argument (b); see 'mnistkit verify --help'"),
        (("verify", "--runtime", "tvm"), "'tvm' is not one of 'litert', 'tflite-runtime', 'tensorflow', 'onnxruntime'"),
        (("bench", "--seconds", "0"), "0.0 is not in the range"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(mnistkit: Cli, arguments: tuple[str, ...], message: str) -> None:
    outcome = mnistkit(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_help_names_the_runtimes_that_there_are() -> None:
    @options.runtime
    def command() -> None: ...

    (option,) = command.__click_params__  # type: ignore[attr-defined]
    assert option.type.choices == tuple(runtimes.RUNTIMES)


def test_every_error_says_how_to_mend_it() -> None:
    error = MnistkitError("the disk is full", "free some space")
    assert str(error) == "the disk is full; free some space"


def test_a_bug_is_one_line_that_asks_for_a_report(mnistkit: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise ZeroDivisionError("never mind")

    monkeypatch.setattr("mnistkit.bundle.open_bundle", fail)
    outcome = mnistkit("verify")
    assert outcome.code == 70
    assert outcome.err == "mnistkit: ZeroDivisionError: never mind; a bug: report it, with MNISTKIT_TRACEBACK=1 set\n"
    monkeypatch.setenv("MNISTKIT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        mnistkit("verify")


@pytest.mark.parametrize(
    ("name", "module", "arguments", "extra"),
    [
        ("litert", "ai_edge_litert", ("verify", "{bundle}", "--runtime", "litert"), "device"),
        ("onnxruntime", "onnxruntime", ("bench", "{bundle}", "--runtime", "onnxruntime"), "device"),
        ("keras", "keras", ("train", "--data", "{data}"), "train"),
        ("matplotlib", "matplotlib", ("train", "--data", "{data}"), "train"),
        ("platformdirs", "platformdirs", ("data", "fetch"), "train"),
        ("ansible-core", "ansible", ("deploy", "{bundle}", "--on", "pi"), "fleet"),
        ("tf2onnx", "tf2onnx", ("export", "{model}", "--data", "{data}", "--out", "{out}"), "train"),
    ],
)
def test_a_missing_extra_names_the_pip_command(
    workspace: Path, few_digits: Path, tmp_path: Path, name: str, module: str, arguments: tuple[str, ...], extra: str
) -> None:
    places = {
        "bundle": workspace / "bundle",
        "data": few_digits,
        "model": workspace / "model.keras",
        "out": tmp_path / "b",
    }
    arguments = tuple(argument.format(**places) for argument in arguments)
    hide = f"import sys\nsys.modules[{module!r}] = None\nfrom mnistkit import cli\nsys.exit(cli.run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", hide, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert name in last
    assert f"pip install 'mnistkit[{extra}]'" in last
    assert leaves(tmp_path) == []


def test_a_python_without_tensorflow_is_told_what_works_there(
    mnistkit: Cli, workspace: Path, tmp_path: Path, few_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setattr("mnistkit.core.packages.NEWEST_FOR_TENSORFLOW", (3, 10))
    outcome = mnistkit("export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "bundle")
    assert outcome.code == 2
    assert "TensorFlow has no wheel for Python 3." in outcome.err
    assert "train and export under Python 3.10; verify and bench work here" in outcome.err


# --- faults -----------------------------------------------------------------------------------------------------


def interrupt_when(line: str, arguments: list[str], cwd: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Run a command in a process group of its own and signal all of it once it has printed such a line."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *COMMAND, *arguments],  # a job in the background ignores it from the start
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )
    assert process.stderr
    read = []
    for said in process.stderr:
        read.append(said)
        if line in said:
            os.killpg(process.pid, number)
            break
    rest = process.stderr.read()
    return subprocess.CompletedProcess([], process.wait(), "", "".join(read) + rest)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("epoch 2", ["train", "--epochs", "500", "--data", "{data}", "--out", "made"]),
        ("model.int8.tflite", ["export", "{model}", "--data", "{data}", "--out", "made"]),
        ("model.dynamic.tflite on litert", ["verify", "{bundle}", "--json", "made"]),
        ("process 1 of 100", ["bench", "{bundle}", "--seconds", "10", "--processes", "100", "--json", "made"]),
    ],
    ids=["train", "export", "verify", "bench"],
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing_half_written(
    workspace: Path, few_digits: Path, tmp_path: Path, line: str, arguments: list[str], number: int, code: int
) -> None:
    places = {"data": few_digits, "model": workspace / "model.keras", "bundle": workspace / "bundle"}
    done = interrupt_when(line, [argument.format(**places) for argument in arguments], tmp_path, number)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    if code == 130:
        assert done.stderr.splitlines()[-1] == "mnistkit: interrupted; what was whole before still is"
    assert leaves(tmp_path) == []


def test_a_killed_export_leaves_the_old_bundle_whole(
    mnistkit: Cli, workspace: Path, bundle: Path, few_digits: Path
) -> None:
    arguments = ["export", str(workspace / "model.keras"), "--data", str(few_digits), "--out", str(bundle), "--force"]
    done = interrupt_when("model.float32.onnx", arguments, bundle.parent, signal.SIGKILL)
    assert done.returncode == -9
    assert mnistkit("verify", bundle).code == 0
    assert mnistkit(*arguments).code == 0


def run_on_full_disk(kilobytes: int, arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that can write no file larger than that: to a program it looks like a full disk."""
    limited = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", *COMMAND, *arguments]
    return subprocess.run(limited, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    ("arguments", "kilobytes", "message"),
    [
        (["train", "--epochs", "1", "--data", "{data}", "--out", "made/by/train"], 100, "File too large"),
        (["train", "--epochs", "1", "--data", "{data}", "--out", "made"], 0, "No usable temporary directory"),
        (["export", "{model}", "--data", "{data}", "--out", "made"], 200, "File too large"),
        (["verify", "{bundle}", "--limit", "9", "--json", "made"], 8, "cannot write made: File too large"),
        (["bench", "{bundle}", "--seconds", "0.1", "--processes", "1", "--json", "made"], 1, "File too large"),
    ],
    ids=["train", "train, no byte", "export", "verify", "bench"],
)
def test_a_full_disk_is_one_line_and_nothing_half_written(
    workspace: Path, few_digits: Path, tmp_path: Path, arguments: list[str], kilobytes: int, message: str
) -> None:
    places = {"data": few_digits, "model": workspace / "model.keras", "bundle": workspace / "bundle"}
    done = run_on_full_disk(kilobytes, [argument.format(**places) for argument in arguments], tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mnistkit: ")
    assert message in done.stderr.splitlines()[-1]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_keeps_the_old_bundle(workspace: Path, bundle: Path, few_digits: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    arguments = ["export", str(workspace / "model.keras"), "--data", str(few_digits), "--out", str(bundle), "--force"]
    done = run_on_full_disk(200, arguments, bundle.parent)
    assert done.returncode == 2
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert leaves(bundle.parent) == sorted([bundle.name, *(f"{bundle.name}/{name}" for name in before)])


def test_a_summary_of_half_a_workspace_says_what_to_do(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    shutil.copy(workspace / "run.json", tmp_path)
    outcome = mnistkit("summary", tmp_path)
    assert outcome.code == 2
    assert "verify.json" in outcome.err


def test_a_summary_shows_all_that_is_known(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    shutil.copy(workspace / "run.json", tmp_path)
    assert mnistkit("verify", workspace / "bundle", "--json", tmp_path / "verify.json").code == 0
    assert mnistkit("bench", workspace / "bundle", *BRIEFLY, "--json", tmp_path / "bench.json").code == 0
    outcome = mnistkit("summary", tmp_path)
    assert outcome.code == 0
    assert "93,322 parameters" in outcome.out
    assert outcome.out.count("PASS") == 11


def test_exit_codes_are_those_that_the_readme_names() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "CHECK_FAILED": 1,
        "INVALID_INPUT": 2,
        "INCONCLUSIVE": 3,
        "UNSTABLE": 4,
        "INTERNAL_ERROR": 70,
        "INTERRUPTED": 130,
    }
