"""Generated C: exported, compiled where it runs or in advance, trusted or not, and how each failure is reported."""

import ctypes
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    BRIEFLY,
    UNTRAINED,
    WIDE,
    Cli,
    Result,
    add_library,
    edit_manifest,
    keep_artifacts,
    update_checksums,
)

import mnistkit as package
from mnistkit.bundle import ModelInfo, Tensor, open_bundle
from mnistkit.core import files, records
from mnistkit.core.cpu import Cpu, this_cpu
from mnistkit.core.errors import UntrustedCodeError
from mnistkit.formats.c_file import CFile, comment_lines
from mnistkit.runtimes import RUNTIMES, compiler, generated_code, library_cache
from mnistkit.runtimes.targets import TARGETS, best_target
from mnistkit.training import keras_models
from mnistkit.verify import predictions
from mnistkit.verify.report import VerifyReport
from mnistkit_export import cross_compilation

TFLITE, C, HEADER = "model.int8.tflite", "model.int8.c", "model.int8.h"
INT8 = "--quantize", "int8", "--format", "tflite"
BOTH = "--runtime", "litert", "--runtime", "c"
DECLARATIONS = """#include "model.int8.h"
extern const uint32_t model_arena_bytes, model_input_bytes, model_classes;
const uint32_t model_arena_bytes = 64, model_input_bytes = 784, model_classes = 10;
"""
TRAP = DECLARATIONS + "int model_predict(const uint8_t *i, float *p, void *a) { __builtin_trap(); }\n"
VERSION = '[ "$1" = --version ] && { echo "fake 1.0"; exit; }\n'
OTHER = "aarch64" if this_cpu().architecture == "x86_64" else "x86_64"


@pytest.fixture
def c_bundle(bundle: Path) -> Path:
    """A copy of the workspace's bundle with the int8 artifacts of TFLite and C."""
    keep_artifacts(bundle, TFLITE, C)
    return bundle


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder; the folder of the compiled libraries in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return library_cache.folder()


@pytest.fixture
def elsewhere(mnistkit: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command line on another machine than the one that made the code."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other-state"))
    return mnistkit


def use_compiler(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str = "") -> None:
    """Let `cc` be a shell script, or nothing."""
    programs = folder / "programs"
    programs.mkdir()
    if script:
        (programs / "cc").write_text(f"#!/bin/sh\n{VERSION}{script}\n")
        (programs / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))


def replace_code(bundle: Path, code: str) -> None:
    """Replace the C of a bundle, except its metadata."""
    metadata = CFile((bundle / C).read_bytes()).metadata
    assert metadata
    (bundle / C).write_text(f"/*\n{metadata.decode()}\n*/\n{code}")
    update_checksums(bundle)


def compile_here(code: str) -> bytes:
    """The library that this machine's compiler makes of C."""
    source = compiler.SourceFile("code.c", code.replace('#include "model.int8.h"', "#include <stdint.h>").encode())
    return compiler.compile_library(compiler.find_compiler(), source, (), ())


def fitting_target() -> str:
    """A target whose code runs here."""
    target = best_target(this_cpu())
    if target is None:
        pytest.skip("no target fits this processor")
    return target


def only_line(result: Result, text: str) -> str:
    (line,) = (line for line in (result.out + result.err).splitlines() if text in line)
    return line


def check_others_go_on(result: Result, problem: str) -> None:
    """The result of `verify`: only C did not run, and one line says why."""
    assert result.code == 0, result.err
    assert f"{C} on c: not run: {problem}" in only_line(result, "not run")
    assert result.out.count("PASS") == 1


# --- what C computes ---------------------------------------------------------------------------------------------


def test_c_predicts_what_int8_tflite_does(mnistkit: Cli, c_bundle: Path, tmp_path: Path) -> None:
    saved = tmp_path / "predictions.npz"
    result = mnistkit("verify", c_bundle, *BOTH, "--limit", 1000, "--margin", 1, "--save-predictions", saved)
    assert result.code == 0
    loaded = predictions.load(saved)
    assert [row.runtime for row in loaded.record.rows] == ["litert", "c"]
    assert "cc" in loaded.record.versions["C compiler"] or "clang" in loaded.record.versions["C compiler"]
    litert, c = loaded.probabilities
    np.testing.assert_allclose(litert, c, atol=1e-6)


def test_sequential_verification_runs_c(mnistkit: Cli, c_bundle: Path) -> None:
    result = mnistkit("verify", c_bundle, "--runtime", "c", "--sequential", "--margin", 5)
    assert result.code == 0
    assert result.out.count("PASS") == 1


def test_bench_measures_c_for_latency_and_throughput(mnistkit: Cli, c_bundle: Path) -> None:
    result = mnistkit("bench", c_bundle, *BRIEFLY, *BOTH, "--json", "-")
    assert result.code == 0
    rows = json.loads(result.out)["measurements"]
    assert [(row["artifact"], row["runtime"], row["package_bytes"] > 0) for row in rows] == [
        (TFLITE, "litert", True),
        (C, "c", False),
    ]
    result = mnistkit(
        "bench", c_bundle, *BRIEFLY, "--runtime", "c", "--batch", "1,3", "--parallel", "1,2", "--json", "-"
    )
    rows = json.loads(result.out)["throughputs"]
    assert [(row["batch"], row["parallel"]) for row in rows] == [(1, 1), (1, 2), (3, 1), (3, 2)]


def test_predict_uses_c_if_it_is_named(mnistkit: Cli, c_bundle: Path) -> None:
    outputs = [mnistkit("predict", c_bundle, "--artifact", name, "--index", 5) for name in (TFLITE, C)]
    assert outputs[0] == outputs[1]
    assert outputs[0].code == 0


@pytest.mark.usefixtures("mnistkit")
def test_python_interface_runs_c(c_bundle: Path) -> None:
    images = open_bundle(c_bundle).evaluation_set().images[:33]
    first, second = (package.load(c_bundle, runtime=runtime) for runtime in ("litert", "c"))
    np.testing.assert_allclose(first.predict(images), second.predict(images), atol=1e-6)
    assert first.predict(images[:1]).argmax() == second.predict(images[:1]).argmax()


@pytest.mark.usefixtures("mnistkit")
def test_sessions_do_not_share_buffers(c_bundle: Path) -> None:
    images = open_bundle(c_bundle).evaluation_set().images[:2]
    sessions = [RUNTIMES["c"].open(c_bundle / C) for _ in images]
    for session, image in zip(sessions, images, strict=True):
        session.load(image[None])
    for session in sessions:
        session.run()
    both = RUNTIMES["c"].open(c_bundle / C, batch=2)
    both.load(images)
    both.run()
    np.testing.assert_array_equal(np.concatenate([session.read() for session in sessions]), both.read())


# --- trust -------------------------------------------------------------------------------------------------------


def test_code_from_another_machine_runs_only_if_it_is_trusted(elsewhere: Cli, c_bundle: Path) -> None:
    reason = "the code was made on another machine; pass --trust-code"
    result = elsewhere("verify", c_bundle, *WIDE)
    assert f"{C} on c: not run: {reason}" in only_line(result, "not run")
    result = elsewhere("bench", c_bundle, *BRIEFLY, "--json", "-")
    assert result.code == 0
    (failure,) = json.loads(result.out)["failures"]
    assert (failure["artifact"], failure["skipped"]) == (C, True)
    assert elsewhere("verify", c_bundle, *WIDE, *BOTH).code == 1  # it was requested
    for command in (("verify", "--runtime", "c"), ("bench", "--runtime", "c"), ("predict", "--artifact", C)):
        result = elsewhere(command[0], c_bundle, *command[1:])
        assert result.code == 2
        assert reason in result.err
    assert elsewhere("verify", c_bundle, *WIDE, "--runtime", "c", "--trust-code").code == 0
    assert elsewhere("bench", c_bundle, *BRIEFLY, "--runtime", "c", "--trust-code").code == 0
    assert elsewhere("predict", c_bundle, "--artifact", C, "--trust-code").code == 0


@pytest.mark.usefixtures("elsewhere")
def test_python_interface_needs_trust(c_bundle: Path) -> None:
    with pytest.raises(UntrustedCodeError):
        package.load(c_bundle, C)
    assert package.load(c_bundle, C, trust_code=True).runtime == "c"


@pytest.mark.parametrize("name", [C, HEADER])
def test_changed_code_is_not_trusted(mnistkit: Cli, c_bundle: Path, name: str) -> None:
    (c_bundle / name).write_text((c_bundle / name).read_text() + "\n")
    update_checksums(c_bundle)
    result = mnistkit("verify", c_bundle, *WIDE)
    assert "the code was made on another machine" in only_line(result, "not run")


@pytest.mark.usefixtures("elsewhere")
def test_worker_checks_the_bytes_that_it_compiles(c_bundle: Path) -> None:
    """A file that is replaced after the command has checked the bundle does not run."""
    with pytest.raises(UntrustedCodeError):
        RUNTIMES["c"].open(c_bundle / C)


# --- compilers and caches ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("empty_cache")
def test_without_a_compiler_c_is_not_run(
    mnistkit: Cli, c_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_compiler(monkeypatch, tmp_path)
    result = mnistkit("verify", c_bundle, *WIDE)
    line = only_line(result, "not run")
    assert f"{C} on c: not run: no C compiler is installed; sudo apt install gcc" in line
    target = best_target(this_cpu())
    assert target is None or f"or export the model with --target {target}" in line
    result = mnistkit("bench", c_bundle, *BRIEFLY)
    assert result.code == 0
    assert "sudo apt install gcc" in only_line(result, "not measured")
    result = mnistkit("doctor")
    assert result.code == 0
    assert "warning: no C compiler is installed" in result.out
    assert "    sudo apt install gcc" in result.out


FAILING_COMPILERS = {
    "error": (
        "echo 'In file included' >&2; echo 'x.c:1:2: error: no room' >&2; exit 1",
        "cc failed: x.c:1:2: error: no room",
    ),
    "crash": ("kill -SEGV $$", "cc failed: signal 11"),
    "no output": ("exit 0", "cc failed: exit code 0"),
    "hang": ("/bin/sleep 1000", "cc did not respond in 0.3 s"),
}


@pytest.mark.usefixtures("empty_cache", "without_tensorflow")
@pytest.mark.parametrize(("script", "message"), FAILING_COMPILERS.values(), ids=FAILING_COMPILERS.keys())
def test_failing_compiler_is_reported_in_one_line(
    mnistkit: Cli, c_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setattr(compiler, "COMPILE_SECONDS", 0.3 if "sleep" in script else 60)
    use_compiler(monkeypatch, tmp_path, script)
    check_others_go_on(mnistkit("verify", c_bundle, *WIDE), f"the C compiler {message}")
    result = mnistkit("bench", c_bundle, *BRIEFLY)
    assert result.code == 1
    assert message in only_line(result, "failed: model")
    result = mnistkit("doctor")
    assert result.code == 1
    assert message in only_line(result, "problem: ")


def test_compiler_that_does_not_tell_its_version_is_reported(
    mnistkit: Cli, c_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_compiler(monkeypatch, tmp_path, "exit 1")
    (tmp_path / "programs" / "cc").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    assert "the C compiler cc failed: broken" in only_line(mnistkit("verify", c_bundle, *WIDE), "not run")


@pytest.mark.usefixtures("without_tensorflow")
def test_unusable_cache_is_reported_in_one_line(
    mnistkit: Cli, c_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    result = mnistkit("verify", c_bundle, *WIDE)
    check_others_go_on(result, f"cannot write {tmp_path}/file/mnistkit/c/")
    assert "set XDG_CACHE_HOME to another folder" in only_line(result, "not run")


@pytest.mark.usefixtures("without_tensorflow", "empty_cache")
def test_full_disk_is_reported_in_one_line(mnistkit: Cli, c_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_flush", fail)
    result = mnistkit("verify", c_bundle, *WIDE)
    assert "No space left on device; free some space" in only_line(result, "not run")
    assert result.code == 0


@pytest.mark.usefixtures("mnistkit")
@pytest.mark.parametrize("damage", [b"", b"\0", b"junk"])
def test_corrupt_library_in_the_cache_is_compiled_again(c_bundle: Path, empty_cache: Path, damage: bytes) -> None:
    first = generated_code.get_library(c_bundle / C, trust_code=False)
    (path,) = empty_cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + damage)
    assert generated_code.get_library(c_bundle / C, trust_code=False) == first
    assert path.read_bytes() == whole


@pytest.mark.usefixtures("mnistkit")
def test_library_is_compiled_once(
    c_bundle: Path, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RUNTIMES["c"].prepare(c_bundle / C)
    real = compiler.find_compiler()
    with monkeypatch.context() as patch:
        patch.setattr(generated_code, "compile_library", None)  # to call it would fail
        RUNTIMES["c"].open(c_bundle / C)
    path = os.environ["PATH"]
    use_compiler(monkeypatch, tmp_path, f'exec {real.command[0]} "$@"')
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{path}")
    RUNTIMES["c"].open(c_bundle / C)
    assert len(list(empty_cache.iterdir())) == 2  # another compiler makes another library


OPEN_AND_RUN = """
import sys
from pathlib import Path
import numpy as np
from mnistkit.runtimes import RUNTIMES
session = RUNTIMES["c"].open(Path(sys.argv[1]), trust_code=True)
session.load(np.full((1, 28, 28, 1), 7, np.uint8))
session.run()
print(session.read().tolist())
"""


def test_processes_can_compile_at_once(c_bundle: Path, empty_cache: Path) -> None:
    command = [sys.executable, "-P", "-c", OPEN_AND_RUN, str(c_bundle / C)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(outputs) == 1
    assert [path.suffix for path in empty_cache.iterdir()] == [".so"]


# --- code and libraries that fail --------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_tensorflow")
def test_crash_of_the_code_is_reported_in_one_line(mnistkit: Cli, c_bundle: Path) -> None:
    replace_code(c_bundle, TRAP)
    result = mnistkit("verify", c_bundle, *WIDE, "--trust-code")
    check_others_go_on(result, "c died of SIGILL; export the model again for this processor")
    result = mnistkit("bench", c_bundle, *BRIEFLY, "--trust-code")
    assert result.code == 1
    assert "died of SIGILL" in only_line(result, "failed: model")


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("int other;\n", "undefined symbol: model_input_bytes"),
        (DECLARATIONS, "undefined symbol: model_predict"),
        ("#error not for this processor\n", "error: #error not for this processor"),
    ],
)
def test_code_without_its_functions_is_reported_in_one_line(
    mnistkit: Cli, c_bundle: Path, code: str, message: str
) -> None:
    replace_code(c_bundle, code)
    result = mnistkit("verify", c_bundle, *WIDE, "--trust-code")
    assert message in only_line(result, "not run")
    assert (result.code, result.out.count("PASS")) == (0, 1)


@pytest.mark.usefixtures("without_tensorflow", "empty_cache")
def test_prebuilt_library_runs_without_a_compiler(
    mnistkit: Cli, c_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = fitting_target()
    cross_compilation.compile_for(target, c_bundle / C)  # type: ignore[arg-type]  # one of the targets
    add_library(c_bundle, target, (c_bundle / f"model.int8.{target}.so").read_bytes())
    use_compiler(monkeypatch, tmp_path)
    assert "the code was made on another machine" in only_line(mnistkit("verify", c_bundle, *WIDE), "not run")
    result = mnistkit("verify", c_bundle, *WIDE, *BOTH, "--trust-code")
    assert (result.code, result.out.count("PASS")) == (0, 2)


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a library", "file too short"),
        (b"not a library" * 100, "invalid ELF header"),
        (compile_here(TRAP), "died of SIGILL"),
        (compile_here("int other;\n"), "undefined symbol: model_input_bytes"),
    ],
    ids=["short", "text", "for another processor", "without symbols"],
)
def test_invalid_library_is_reported_in_one_line(
    mnistkit: Cli,
    c_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    message: str,
) -> None:
    add_library(c_bundle, fitting_target(), content)
    use_compiler(monkeypatch, tmp_path)
    result = mnistkit("verify", c_bundle, *WIDE, "--trust-code")
    assert message in only_line(result, "not run")
    assert "/proc/" not in result.out
    assert (result.code, result.out.count("PASS")) == (0, 1)


# --- targets -----------------------------------------------------------------------------------------------------

A72 = ["fp", "asimd", "evtstrm", "crc32", "cpuid"]
A76 = [*A72, "atomics", "fphp", "asimdhp", "asimddp", "lrcpc"]
HASWELL = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]


@pytest.mark.parametrize(
    ("architecture", "part", "features", "target"),
    [
        ("aarch64", "0xd03", A72, "pi3"),
        ("aarch64", "0xd08", A72, "pi4"),
        ("aarch64", "0xd0b", A76, "pi5"),
        ("aarch64", "0xd0c", A76, "pi5"),
        ("aarch64", "0xd07", A72, "pi4"),
        ("armv7l", "0xd08", ["neon", "vfpv4"], None),
        ("x86_64", "", HASWELL, "x86-64-v3"),
        ("x86_64", "", [*HASWELL, "avx512f", "avx512bw", "avx512vl", "avx512_vnni"], "x86-64-vnni"),
        ("x86_64", "", ["avx"], None),
    ],
)
def test_best_target_of_a_processor(architecture: str, part: str, features: list[str], target: str | None) -> None:
    cpu = Cpu(architecture, {"CPU part": part, "flags": " ".join(features)})
    assert best_target(cpu) == target
    others = [name for name in TARGETS if name != target]
    assert best_target(cpu, others) != target or target is None


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("compiler_name", ["gcc", "zig"])
def test_library_for_a_target_needs_no_other_library(
    c_bundle: Path, target: Any, compiler_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiler_name == "zig":
        monkeypatch.setenv("PATH", "")
        if not importlib.util.find_spec("ziglang"):
            pytest.skip("ziglang is not installed")
    elif TARGETS[target].architecture == OTHER and not shutil.which(f"{OTHER}-linux-gnu-gcc"):
        pytest.skip(f"no gcc for {OTHER}")
    library = cross_compilation.compile_for(target, c_bundle / C)
    content = (c_bundle / library.file).read_bytes()
    machine = {"aarch64": 183, "x86_64": 62}[TARGETS[target].architecture]
    assert (content[:4], int.from_bytes(content[18:20], "little")) == (b"\x7fELF", machine)
    assert library.compiler
    if TARGETS[target].fits(this_cpu()):
        assert ctypes.CDLL(str(c_bundle / library.file)).model_predict


def test_missing_compiler_for_a_target_is_found_before_the_conversion(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_compiler(monkeypatch, tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", "--target", "pi4")
    assert result.code == 2
    assert "no C compiler for pi4 is installed; sudo apt install gcc" in result.err
    assert "pip install 'mnistkit[cross]'" in result.err
    assert "loading" not in result.err


# --- export ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unsupported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with a layer that can't be generated."""
    import keras

    layers = keras.layers.Flatten(), keras.layers.Dense(10, "tanh", name="odd"), keras.layers.Dense(10, "softmax")
    path = tmp_path_factory.mktemp("unsupported") / "model.keras"
    keras_models.save(keras.Sequential([keras.Input((28, 28, 1)), *layers]), path)
    return path


def test_default_export_leaves_out_c_that_cannot_be_generated(
    mnistkit: Cli, unsupported: Path, few_digits: Path, tmp_path: Path
) -> None:
    options = "--data", few_digits, *UNTRAINED, "--quantize", "int8"
    result = mnistkit("export", unsupported, "--out", tmp_path / "b", *options)
    assert result.code == 0, result.err
    line = only_line(result, "not exported")
    assert "odd" in line
    manifest = open_bundle(tmp_path / "b").manifest
    assert [artifact.format for artifact in manifest.artifacts] == ["tflite", "onnx"]
    (missing,) = manifest.not_exported
    assert (missing.file, missing.requested) == (C, False)
    assert missing.problem in line
    result = mnistkit("export", unsupported, "--out", tmp_path / "b2", *options, "--format", "c", "--format", "onnx")
    assert result.code == 1
    assert "odd" in only_line(result, "not exported")
    result = mnistkit("export", unsupported, "--out", tmp_path / "b3", *options, "--format", "c")
    assert result.code == 2
    assert "odd" in result.err
    assert not (tmp_path / "b3").exists()


def test_c_alone_is_exported_and_is_the_same_as_with_tflite(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    target = best_target(this_cpu())
    options = "--data", few_digits, *(("--target", target) if target else ())
    for name, formats in (("alone", ("--format", "c")), ("both", (*INT8, "--format", "c"))):
        result = mnistkit("export", workspace / "model.keras", "--out", tmp_path / name, *options, *formats)
        assert result.code == 0, result.err
    assert {path.name for path in (tmp_path / "alone").iterdir()} - {f"model.int8.{target}.so"} == {
        *(C, HEADER, "manifest.json", "testset.npz", "reference.npz"),
    }
    for path in (tmp_path / "alone").glob("model.*"):
        assert path.read_bytes() == (tmp_path / "both" / path.name).read_bytes()
    assert mnistkit("verify", tmp_path / "alone", "--limit", 200, "--margin", 5).code == 0
    assert mnistkit("export", workspace / "model.keras", "--out", tmp_path / "both", *options, *INT8).code == 2
    result = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "both", "--force", *options, *INT8)
    assert (result.code, "--target applies only to C" in result.err) == (2, bool(target))


@pytest.mark.parametrize("options", [("--format", "c", "--quantize", "float32"), (*INT8, "--target", "pi4")])
def test_options_that_do_not_select_c_are_rejected(
    mnistkit: Cli, workspace: Path, tmp_path: Path, options: Iterable[str]
) -> None:
    result = mnistkit("export", workspace / "model.keras", "--out", tmp_path / "b", *options)
    assert result.code == 2
    assert result.err.count("\n") == 1


# --- the files of a bundle ---------------------------------------------------------------------------------------


def add_junk_library(bundle: Path) -> None:
    add_library(bundle, "pi4", b"library")


def remove_header(manifest: dict[str, Any]) -> None:
    manifest["artifacts"][-1]["header"] = None


def rename_library(manifest: dict[str, Any]) -> None:
    manifest["artifacts"][-1]["libraries"][0]["target"] = "pi5"


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "corrupt source": (lambda b: (b / C).write_text("int x;"), f"{C} is corrupt"),
    "corrupt header": (lambda b: (b / HEADER).write_text(""), f"{HEADER} is corrupt"),
    "corrupt library": (lambda b: (b / "model.int8.pi4.so").write_bytes(b""), "model.int8.pi4.so is corrupt"),
    "missing header": (lambda b: (b / HEADER).unlink(), f"{HEADER} is missing"),
    "no header in the manifest": (lambda b: edit_manifest(b, remove_header), f"other files of {C} than expected"),
    "other target": (lambda b: edit_manifest(b, rename_library), f"other files of {C} than expected"),
}


@pytest.mark.parametrize(("inject_fault", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_corrupt_files_of_c_are_rejected(
    mnistkit: Cli, c_bundle: Path, inject_fault: Callable[[Path], object], message: str
) -> None:
    add_junk_library(c_bundle)
    assert mnistkit("inspect", c_bundle).code == 0
    inject_fault(c_bundle)
    for command in ("verify", "bench", "inspect"):
        result = mnistkit(command, c_bundle)
        assert result.code == 2
        assert message in result.err
        assert result.err.count("\n") == 1


def test_bundle_of_version_1_opens(mnistkit: Cli, c_bundle: Path) -> None:
    keep_artifacts(c_bundle, TFLITE)

    def change(manifest: dict[str, Any]) -> None:
        manifest["version"] = 1
        for artifact in manifest["artifacts"]:
            del artifact["header"], artifact["libraries"]

    edit_manifest(c_bundle, change)
    assert mnistkit("verify", c_bundle, *WIDE, "--runtime", "litert").code == 0


def test_inspect_shows_the_metadata_of_a_c_file(mnistkit: Cli, c_bundle: Path, tmp_path: Path) -> None:
    result = mnistkit("inspect", c_bundle / C, "--json", "-")
    inspection = json.loads(result.out)
    assert inspection["metadata"]["conversion"]["format"] == "c"
    assert inspection["model"]["input"]["shape"] == [1, 28, 28, 1]
    assert inspection["model"]["output"]["dtype"] == "float32"
    assert "CONV_2D" in inspection["model"]["operators"]
    (tmp_path / "other.c").write_text("int main(void) { return 0; }\n")
    result = mnistkit("inspect", tmp_path / "other.c")
    assert result.code == 2
    assert "not generated by mnistkit" in result.err


INFO = ModelInfo(Tensor("image", (1, 2), "uint8"), Tensor("probabilities", (1, 2), "float32"), ("ADD",), {})


@given(
    st.text(st.characters(blacklist_categories=["Cs"]))
    | st.sampled_from(["*/", "/*/*/", "\\*/", "/**/", "??/", "é😀\u202e"])
)
def test_metadata_cannot_end_the_comment_of_the_file(text: str) -> None:
    line = '{"schema":"mnistkit.metadata","label":' + json.dumps(text, ensure_ascii=False) + "}"
    lines = comment_lines(line, INFO)
    assert lines.isascii()
    assert "*/" not in lines
    assert "/*" not in lines
    file = CFile(f"/* {lines} */".encode())
    assert file.metadata
    assert json.loads(file.metadata)["label"] == text
    assert file.info() == INFO


def test_report_names_c_among_the_others(mnistkit: Cli, c_bundle: Path, tmp_path: Path) -> None:
    verified, measured = tmp_path / "verify.json", tmp_path / "bench.json"
    assert mnistkit("verify", c_bundle, *WIDE, "--json", verified).code == 0
    assert mnistkit("bench", c_bundle, *BRIEFLY, "--json", measured).code == 0
    assert C in mnistkit("recommend", verified, measured).out
    assert C in {row.artifact for row in records.read(verified, VerifyReport, "").rows}
    result = mnistkit("profile", c_bundle, "--artifact", C)
    assert result.code == 2
    assert "whose layers can't be measured one by one; measure it with 'mnistkit bench'" in result.err
