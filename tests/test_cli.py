"""The command line as a whole: help, exit codes, interrupts, full disks. Mostly in processes of their own."""

import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import Cli

from mnistkit import runtimes
from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode
from mnistkit.core.errors import MnistkitError

COMMAND = [sys.executable, "-m", "mnistkit"]


def paths_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_help_imports_neither_numpy_nor_tensorflow_nor_rich() -> None:
    code = (
        "import sys\nfrom mnistkit.cli import main\nassert main.run(['--help']) == 0\n"
        "assert not {'numpy', 'tensorflow', 'keras', 'onnxruntime', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_no_command_shows_the_help_and_exits_with_2(mnistkit: Cli) -> None:
    result = mnistkit()
    assert result.code == 2
    assert "Usage: mnistkit" in result.err


def test_version_is_that_of_the_package(mnistkit: Cli) -> None:
    assert mnistkit("--version").out == f"mnistkit, version {importlib.metadata.version('mnistkit')}\n"


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
def test_usage_errors_are_one_line_and_exit_with_2(mnistkit: Cli, arguments: tuple[str, ...], message: str) -> None:
    result = mnistkit(*arguments)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_help_lists_the_existing_runtimes() -> None:
    @options.runtime
    def command() -> None: ...

    (option,) = command.__click_params__  # type: ignore[attr-defined]
    assert option.type.choices == tuple(runtimes.RUNTIMES)


def test_errors_say_how_to_fix_them() -> None:
    error = MnistkitError("the disk is full", "free some space")
    assert str(error) == "the disk is full; free some space"


def test_internal_errors_are_one_line_that_asks_for_a_report(mnistkit: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *, trust_code: bool) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("mnistkit.bundle.open_bundle", fail)
    result = mnistkit("verify")
    assert result.code == 70
    assert result.err == (
        "mnistkit: internal error: ZeroDivisionError: division by zero; "
        "set MNISTKIT_TRACEBACK=1 for the traceback, and report it\n"
    )
    monkeypatch.setenv("MNISTKIT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        mnistkit("verify")


def test_exit_codes_are_those_of_the_readme() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    rows = {line.split("|")[1].strip() for line in readme.splitlines() if line.startswith("| ")}
    assert {str(int(code)) for code in ExitCode if code != ExitCode.INTERRUPTED} <= rows
    assert any("130" in row for row in rows)


@pytest.mark.parametrize(
    ("name", "module", "arguments", "extra"),
    [
        ("litert", "ai_edge_litert", ("verify", "{bundle}", "--runtime", "litert"), "device"),
        ("onnxruntime", "onnxruntime", ("bench", "{bundle}", "--runtime", "onnxruntime"), "device"),
        ("keras", "keras", ("train", "--data", "{data}"), "train"),
        ("matplotlib", "matplotlib", ("train", "--data", "{data}"), "train"),
        ("ansible-core", "ansible", ("fleet", "deploy", "{bundle}", "--host", "pi"), "fleet"),
        (
            "tf2onnx",
            "tf2onnx",
            ("export", "{model}", "--data", "{data}", "--out", "{out}", "--format", "onnx"),
            "train",
        ),
    ],
)
def test_missing_package_is_reported_with_the_pip_command(
    workspace: Path, few_digits: Path, tmp_path: Path, name: str, module: str, arguments: tuple[str, ...], extra: str
) -> None:
    places = {
        "bundle": workspace / "bundle",
        "data": few_digits,
        "model": workspace / "model.keras",
        "out": tmp_path / "b",
    }
    arguments = tuple(argument.format(**places) for argument in arguments)
    hide = (
        f"import sys\nsys.modules[{module!r}] = None\nfrom mnistkit.cli import main\nsys.exit(main.run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert name in last
    assert f"pip install 'mnistkit[{extra}]'" in last
    assert paths_in(tmp_path) == []


def test_python_without_tensorflow_wheels_is_reported(
    mnistkit: Cli, workspace: Path, tmp_path: Path, few_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setattr("mnistkit.core.packages.NEWEST_FOR_TENSORFLOW", (3, 10))
    result = mnistkit("export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "bundle")
    assert result.code == 2
    assert "TensorFlow has no wheel for Python 3." in result.err
    assert "train and export with Python 3.10; verify and bench work with this one" in result.err


# --- interrupts and full disks ----------------------------------------------------------------------------------


def signal_after(line: str, arguments: list[str], cwd: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Run a command in a process group of its own, and signal the group once the command has printed that line."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *COMMAND, *arguments],  # background jobs ignore SIGINT by default
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )
    assert process.stderr
    printed = []
    for text in process.stderr:
        printed.append(text)
        if line in text:
            os.killpg(process.pid, number)
            break
    rest = process.stderr.read()
    return subprocess.CompletedProcess([], process.wait(), "", "".join(printed) + rest)


TRAIN = "epoch 2", ["train", "--recipe", "mlp-512", "--epochs", "500", "--data", "{data}", "--out", "made"]
EXPORT = "model.int8.tflite", ["export", "{model}", "--data", "{data}", "--out", "made", "--format", "tflite"]
VERIFY = "model.dynamic.tflite on litert", ["verify", "{bundle}", "--json", "made"]
BENCH = "process 1 of 100", ["bench", "{bundle}", "--seconds", "10", "--processes", "100", "--json", "made"]
INT, TERM = (signal.SIGINT, 130), (signal.SIGTERM, 143)


@pytest.mark.parametrize(
    ("line", "arguments", "number", "code"),
    [
        (*TRAIN, *INT),
        (*EXPORT, *INT),
        (*EXPORT, *TERM),
        (*VERIFY, *INT),
        (*VERIFY, *TERM),
        (*BENCH, *INT),
        (*BENCH, *TERM),
    ],
)
def test_interrupted_command_leaves_no_partial_files(
    workspace: Path, few_digits: Path, tmp_path: Path, line: str, arguments: list[str], number: int, code: int
) -> None:
    places = {"data": few_digits, "model": workspace / "model.keras", "bundle": workspace / "bundle"}
    done = signal_after(line, [argument.format(**places) for argument in arguments], tmp_path, number)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    if number == signal.SIGINT:
        assert done.stderr.splitlines()[-1] == "mnistkit: interrupted; existing files were left intact"
    assert paths_in(tmp_path) == []


def test_killed_export_keeps_the_old_bundle(mnistkit: Cli, workspace: Path, bundle: Path, few_digits: Path) -> None:
    before = (bundle / "manifest.json").read_bytes()
    arguments = ["export", str(workspace / "model.keras"), "--data", str(few_digits), "--out", str(bundle), "--force"]
    done = signal_after("model.dynamic.tflite", arguments, bundle.parent, signal.SIGKILL)
    assert done.returncode == -9
    assert (bundle / "manifest.json").read_bytes() == before
    assert mnistkit("verify", bundle, "--runtime", "litert", "--margin", 5).code == 0
    assert mnistkit(*arguments, "--quantize", "float32").code == 0


def run_on_full_disk(kilobytes: int, arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that can write no file larger than `kilobytes`, which programs see as they see a full disk."""
    limited = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", *COMMAND, *arguments]
    return subprocess.run(limited, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    ("arguments", "kilobytes", "message"),
    [
        (["train", "--epochs", "1", "--data", "{data}", "--out", "made/by/train"], 100, "File too large"),
        (["train", "--epochs", "1", "--data", "{data}", "--out", "made"], 0, "No usable temporary directory"),
        (["export", "{model}", "--data", "{data}", "--out", "made"], 200, "File too large"),
        (["verify", "{bundle}", "--limit", "9", "--json", "made"], 8, "File too large"),
        (["bench", "{bundle}", "--seconds", "0.1", "--processes", "1", "--json", "made"], 1, "File too large"),
    ],
    ids=["train", "train, no byte", "export", "verify", "bench"],
)
def test_full_disk_is_one_line_and_leaves_no_partial_files(
    workspace: Path, few_digits: Path, tmp_path: Path, arguments: list[str], kilobytes: int, message: str
) -> None:
    places = {"data": few_digits, "model": workspace / "model.keras", "bundle": workspace / "bundle"}
    done = run_on_full_disk(kilobytes, [argument.format(**places) for argument in arguments], tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mnistkit: ")
    assert message in done.stderr.splitlines()[-1]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_full_disk_keeps_the_old_bundle(workspace: Path, bundle: Path, few_digits: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    arguments = ["export", str(workspace / "model.keras"), "--data", str(few_digits), "--out", str(bundle), "--force"]
    done = run_on_full_disk(200, arguments, bundle.parent)
    assert done.returncode == 2
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert paths_in(bundle.parent) == sorted([bundle.name, *(f"{bundle.name}/{name}" for name in before)])
