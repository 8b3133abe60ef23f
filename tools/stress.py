"""Attack the tool with mutated files, kills and random networks, and record what happened.

    python tools/stress.py                    the full counts, about an hour; writes docs/records/stress.json

The tests run the same functions with small counts.
"""

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import c_programs
import random_networks
from mnistkit.bundle import MANIFEST, digest_of_manifest, open_bundle
from mnistkit.cli import main as cli
from mnistkit.cli import terminal
from mnistkit.core import files, records
from mnistkit.core.errors import MnistkitError
from mnistkit.data import dataset, mnist
from mnistkit.data.dataset import Dataset
from mnistkit.device.machine import this_machine
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit.training import keras_models
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit.verify.parity import Limits
from mnistkit.verify.predictions import run_artifacts
from mnistkit.verify.report import VerifyReport, evaluate
from mnistkit_export.c import generate
from mnistkit_export.exporter import export
from mnistkit_export.plan import ExportOptions
from mnistkit_export.preprocessing import PreprocessingOptions

RECORD = Path(__file__).parent.parent / "docs" / "records" / "stress.json"
OFFLINE_COMMANDS = ("inspect", "predict", "diagnose", "verify")  # each reads a whole bundle
HANG_SECONDS = 120.0
PLANTED_ERROR = 1e-3
UNTRAINED = ExportOptions(preprocessing=PreprocessingOptions("raw"), accept_accuracy=True)
NUMBERS = (-1, -5.0, 7.0, 1e300, 2**70)
INTEGERS = (-(1 << 31), -129, -2, -1, 0, 1, 2, 3, 7, 255, 1 << 16, (1 << 31) - 1)
REMOVE = 0.1  # share of changes that remove an item
GENERATE_SECONDS, GENERATE_BYTES = 10.0, 300_000_000  # that generating C from a small network may take
JUNK: tuple[object, ...] = (None, True, "", "\x1b[31m", [], {}, [[]], "../x", *NUMBERS)


@dataclass(frozen=True)
class Outcome:
    """What happened in one kind of attack."""

    attack: str
    runs: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class StressRecord(records.Record, schema="stress", version=1):
    """The outcomes of all attacks."""

    outcomes: tuple[Outcome, ...]
    cpu: str


def run_command(*arguments: object) -> tuple[int, float]:
    """The exit code of a command line, run in this process without output, and its seconds."""
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = cli.run([str(argument) for argument in arguments])
    return code, time.perf_counter() - started


def _mutate_bytes(rng: random.Random, content: bytes) -> bytes:
    """The content with a flipped bit, a removed or an inserted range, or cut off."""
    position = rng.randrange(len(content))
    match rng.randrange(4):
        case 0:
            return content[:position] + bytes([content[position] ^ 1 << rng.randrange(8)]) + content[position + 1 :]
        case 1:
            return content[:position] + content[position + rng.randint(1, 64) :]
        case 2:
            return content[:position] + rng.randbytes(rng.randint(1, 64)) + content[position:]
    return content[:position]


def _copies_to_change(bundle: Path, runs: int, rng: random.Random) -> Iterator[tuple[int, str, Path]]:
    """For each run its number, the name of a file to change, and a copy of the bundle, which is restored afterwards."""
    names = sorted(path.name for path in bundle.iterdir())
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(bundle, Path(folder) / "bundle"))
        for run in range(runs):
            name = rng.choice(names)
            yield run, name, copy
            for changed in {name, MANIFEST}:
                shutil.copyfile(bundle / changed, copy / changed)


def mutated_bundles(bundle: Path, runs: int, seed: int = 0) -> Outcome:
    """Change a byte range of a file of a bundle: every command must refuse it with exit code 2."""
    rng, failures = random.Random(seed), []
    for run, name, copy in _copies_to_change(bundle, runs, rng):
        original = (bundle / name).read_bytes()
        mutated = _mutate_bytes(rng, original)
        (copy / name).write_bytes(mutated)
        code, seconds = run_command("inspect", copy)
        # Spaces and the order of keys in the manifest do not matter.
        unchanged = name == MANIFEST and _same_json(original, mutated)
        if mutated != original and not unchanged and code != 2:
            failures.append(f"run {run}: {name} changed, exit code {code}")
        if seconds > HANG_SECONDS:
            failures.append(f"run {run}: {name} changed, {seconds:.0f} s")
    return Outcome("changed byte of a file of a bundle", runs, tuple(failures))


def _same_json(first: bytes, second: bytes) -> bool:
    try:
        return bool(json.loads(first) == json.loads(second))
    except ValueError:
        return False


def resealed_bundles(bundle: Path, runs: int, seed: int = 0) -> Outcome:
    """The same with the checksums corrected: no command may end with an internal error, or hang."""
    rng, failures = random.Random(seed), []
    for run, name, copy in _copies_to_change(bundle, runs, rng):
        command = rng.choice(OFFLINE_COMMANDS)
        if name == MANIFEST:
            _reseal(copy, _mutate_json(rng, json.loads((bundle / name).read_text())))
        else:
            (copy / name).write_bytes(_mutate_bytes(rng, (bundle / name).read_bytes()))
            _reseal(copy, _with_checksum(json.loads((bundle / MANIFEST).read_text()), copy / name))
        options = ["--runtime", "litert", "--limit", 5] if command == "verify" else []
        options += ["--images", 2] if command == "diagnose" else []
        code, seconds = run_command(command, copy, *options)
        if code == 70 or seconds > HANG_SECONDS:
            failures.append(f"run {run}: {name}, {command}: exit code {code} after {seconds:.0f} s")
    return Outcome("changed bundle with corrected checksums", runs, tuple(failures))


def _with_checksum(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    artifacts = manifest["artifacts"]
    code = [file for artifact in artifacts for file in (artifact["header"], *artifact["libraries"]) if file]
    for file in (manifest["test_set"], manifest["reference"], *artifacts, *code):
        if file["file"] == path.name:
            file["sha256"] = files.sha256_of(path)
    return manifest


def _reseal(bundle: Path, manifest: Any) -> None:
    text = json.dumps(manifest)
    if isinstance(manifest, dict):
        text = json.dumps(manifest | {"sha256": digest_of_manifest(text)})
    (bundle / MANIFEST).write_text(text)


def _mutate_json(rng: random.Random, value: Any) -> Any:
    """The value with one of its parts replaced by junk."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(JUNK)
    copy = value.copy()
    key = rng.choice(sorted(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    copy[key] = _mutate_json(rng, copy[key])
    return copy


def mutated_records(verify_json: Path, bench_json: Path, runs: int, seed: int = 0) -> Outcome:
    """Replace a value of a record by junk: no internal error, no hang, and no impossible number is accepted."""
    rng, failures = random.Random(seed), []
    originals = {path: json.loads(path.read_text()) for path in (verify_json, bench_json)}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / path.name for path in originals]
        for run in range(runs):
            for path, original in zip(paths, originals.values(), strict=True):
                path.write_text(json.dumps(original))
            target = rng.randrange(2)
            mutated = _mutate_json(rng, list(originals.values())[target])
            paths[target].write_text(json.dumps(mutated))
            code, seconds = run_command("recommend", *paths)
            if code == 70 or seconds > HANG_SECONDS:
                failures.append(f"run {run}: {paths[target].name}: exit code {code} after {seconds:.0f} s")
            elif code in (0, 1) and (impossible := next(_impossible_numbers(mutated, ""), "")):
                failures.append(f"run {run}: {paths[target].name}: accepted {impossible}")
    return Outcome("changed value of a record", runs, tuple(failures))


def mutated_networks(tflite: bytes, runs: int, seed: int = 0) -> Outcome:
    """Change bits or fields of an int8 .tflite file: generating C from it never fails internally, hangs or swells."""
    rng, failures = random.Random(seed), []
    for run in range(runs):
        change, file = _mutate_network(rng, tflite)
        if file is None:  # not a .tflite file any more
            continue
        started, peak = time.perf_counter(), _peak_bytes()
        try:
            generate(file, "")
        except MnistkitError:
            pass
        except Exception as error:  # what must not happen
            failures.append(f"run {run}: {change}: {type(error).__name__}: {error}")
        if (seconds := time.perf_counter() - started) > GENERATE_SECONDS:
            failures.append(f"run {run}: {change}: {seconds:.0f} s")
        if (more := _peak_bytes() - peak) > GENERATE_BYTES:
            failures.append(f"run {run}: {change}: {more / 1e6:.0f} MB")
    return Outcome("changed .tflite file, generated as C", runs, tuple(failures))


def _peak_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def random_networks_as_c(runs: int, seed: int = 0) -> Outcome:
    """Generate C from random networks: equal to LiteRT in both roundings, on all instruction sets that are there."""
    failures, rejected = [], 0
    for run in range(runs):
        names = [*_native_sets(), "neon" if run % 2 else "neon-dot"]
        pairs = [(name, rounding) for name in names for rounding in c_programs.ROUNDINGS]
        comparison = random_networks.compare_seed(seed + run, pairs)
        if comparison is None:
            rejected += 1
        else:
            failures += [f"seed {seed + run}: {difference}" for difference in comparison.differences]
    return Outcome("random network as C, equal to LiteRT", runs - rejected, tuple(failures))


def _native_sets() -> list[str]:
    return [name for name in c_programs.NATIVE if not c_programs.missing_features(name)]


def cnn_as_c(bundle: Path, images: NDArray[np.uint8]) -> Outcome:
    """The exported C of a bundle on all images: equal to LiteRT in both roundings, on all instruction sets."""
    content, failures, runs = (bundle / "model.int8.tflite").read_bytes(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        for file in ("model.int8.c", "model.int8.h"):
            shutil.copy(bundle / file, folder)
        for rounding in c_programs.ROUNDINGS:
            expected = c_programs.predict_tflite(content, c_programs.KERNELS[rounding], images)
            for name in (*_native_sets(), *c_programs.EMULATED):
                found = c_programs.predict_generated(Path(folder) / "model.int8.c", name, rounding, images)
                rows, runs = c_programs.differing_rows(expected, found), runs + 1
                failures += [f"{name}, {rounding}: {len(rows)} of {len(images)} images differ"] if rows else []
    return Outcome("C of the CNN on all test images, equal to LiteRT", runs, tuple(failures))


def _mutate_network(rng: random.Random, tflite: bytes) -> tuple[str, TfliteFile | None]:
    """A changed file and what was changed; None if it can't be parsed any more."""
    if rng.random() < 0.4:
        content = bytearray(tflite)
        for _ in range(rng.choice((1, 1, 3))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        try:
            return "bits", TfliteFile.from_bytes(bytes(content))
        except Exception:  # the parser raises exceptions of any type
            return "bits", None
    file = TfliteFile.from_bytes(tflite)
    changes = [_mutate_field(rng, file.model) for _ in range(rng.choice((1, 1, 2)))]
    return "; ".join(changes), file


def _mutate_field(rng: random.Random, node: Any) -> str:
    """Replace a random field of a tree of objects; returns its name and new value."""
    while True:
        name, value = rng.choice([item for item in vars(node).items() if item[1] is not None] or [("", None)])
        if isinstance(value, list) and value and hasattr(value[0], "__dict__") and rng.random() > REMOVE:
            node = rng.choice(value)
        elif hasattr(value, "__dict__") and rng.random() > REMOVE:
            node = value
        else:
            break
    changed = _junk_like(rng, value)
    setattr(node, name, changed)
    return f"{type(node).__name__}.{name} = {str(changed)[:80]}"


def _junk_like(rng: random.Random, value: Any) -> Any:
    """A value of the same kind: numbers become extreme, arrays and lists lose or change an item, others vanish."""
    if isinstance(value, bool | int):
        return rng.choice(INTEGERS)
    if isinstance(value, list) and value:
        position = rng.randrange(len(value))
        return [*value[:position], *value[position + 1 :]]
    if not isinstance(value, np.ndarray) or not len(value):
        return None
    if rng.random() < REMOVE:
        return value[: rng.randrange(len(value))]
    copy = value.copy()
    with np.errstate(all="ignore"):
        junk = rng.choice((*INTEGERS, 1e-30, 1e30, np.nan, np.inf) if copy.dtype.kind == "f" else INTEGERS)
        copy[rng.randrange(len(copy))] = np.array(junk).astype(copy.dtype)
    return copy


SHARES = ("accuracy", "agreement", "p_value", "share")
SIGNED = ("difference", "low", "high", "celsius", "recall_differences", "artifact_confidence", "original_confidence")


def _impossible_numbers(value: object, name: str) -> Iterator[str]:
    """The numbers below 0, and shares above 1, in the fields that mnistkit writes."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _impossible_numbers(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _impossible_numbers(item, name)
    elif isinstance(value, int | float) and not isinstance(value, bool) and name not in SIGNED:
        is_share = name.endswith(SHARES)
        if value < 0 or (is_share and value > 1):
            yield f"{name} = {value}"


def killed_exports(model: Path, data: Path, runs: int, seed: int = 0) -> Outcome:
    """Kill `export --force` at a random time: a whole bundle stays at its path, and nothing is left after the next."""
    rng, failures = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        command = [sys.executable, "-m", "mnistkit", "export", str(model), "--data", str(data), "--out", str(bundle)]
        command += ["--preprocessing", "raw", "--accept-accuracy"]
        options = ["--force", "--format", "tflite", "--quantize", "float32", "--quantize", "dynamic"]
        started = time.monotonic()
        subprocess.run([*command, *options], check=True, capture_output=True)
        duration = time.monotonic() - started
        for run in range(runs):
            process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Half of the kills hit the end of the run, where files are written and exchanged.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.6, 1.05) * duration if rng.random() < 0.5 else rng.uniform(0, 1) * duration)
            process.send_signal(signal.SIGKILL)
            process.wait()
            try:
                open_bundle(bundle).evaluation_set()
            except MnistkitError as error:
                failures.append(f"run {run}: {error}")
        subprocess.run([*command, *options], check=True, capture_output=True)
        failures += [f"left behind: {path.name}" for path in Path(folder).iterdir() if path != bundle]
    return Outcome("kill of export --force", runs, tuple(failures))


def _random_network(seed: int, max_logit: float, images: NDArray[np.uint8]) -> KerasModel:
    """A random network whose largest logit on the images is about `max_logit`."""
    rng, keras = np.random.default_rng(seed), import_keras()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    parts = [layers.Rescaling(1 / 255)] if rng.random() < 0.5 else []
    for _ in range(rng.integers(1, 4)):
        activation = str(rng.choice(["relu", "elu", "tanh", "swish"]))
        padding = str(rng.choice(["same", "valid"]))
        parts.append(layers.Conv2D(int(rng.choice([8, 16, 32])), 3, activation=activation, padding=padding))
        if rng.random() < 0.5:
            parts.append(layers.MaxPooling2D())
        if rng.random() < 0.3:
            parts.append(layers.BatchNormalization())
    parts += [layers.Flatten(), layers.Dense(10)]
    logits = keras.Sequential([keras.Input((28, 28, 1)), *parts])
    scale = max_logit / float(abs(keras_models.predict(logits, images)).max())
    parts[-1].set_weights([weight * scale for weight in parts[-1].get_weights()])
    return logits


def _verify_float32(model: KerasModel, data: Dataset, folder: Path, damage: float) -> VerifyReport:
    """Verify the float32 artifacts of a model; with `damage`, of one whose last kernel was multiplied by 1 + damage."""
    options = replace(UNTRAINED, quantizations=("float32",))
    keras_models.save(model, folder / "model.keras")
    bundle = export(folder / "model.keras", data, folder / "bundle", options)
    evaluation = bundle.evaluation_set()
    if damage:
        kernel, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([kernel * (1 + damage), bias])
        keras_models.save(model, folder / "damaged.keras")
        bundle = export(folder / "damaged.keras", data, folder / "damaged", options)
    return evaluate(run_artifacts(bundle, evaluation, ("litert", "onnxruntime")), Limits(100))


def random_logits(data_path: Path, runs: int, seed: int = 0) -> Outcome:
    """Export random networks with logits up to ±500: their float32 artifacts must pass the float32 tolerance."""
    data, failures = dataset.load(data_path), []
    for run in range(runs):
        max_logit = (5.0, 20.0, 100.0, 500.0)[run % 4]
        model = _random_network(seed + run, max_logit, data.x_test[:])
        with tempfile.TemporaryDirectory() as folder:
            report = _verify_float32(model, data, Path(folder), 0.0)
        failures += [f"run {run}: {row.name}: {row.parity.reason}" for row in report.rows if row.parity.reason]
    return Outcome("random network with logits up to ±500, float32", runs, tuple(failures))


def planted_errors(data_path: Path, runs: int, seed: int = 0) -> Outcome:
    """Multiply the last kernel of networks with logits up to ±20 by 1.001: the float32 artifacts must fail."""
    data, failures = dataset.load(data_path), []
    for run in range(runs):
        model = _random_network(seed + run, 20.0, data.x_test[:])
        with tempfile.TemporaryDirectory() as folder:
            report = _verify_float32(model, data, Path(folder), PLANTED_ERROR)
        failures += [f"run {run}: {row.name} passed" for row in report.rows if row.parity.verdict != "FAIL"]
    return Outcome("relative error of 0.001 in the last kernel", runs, tuple(failures))


def main() -> None:
    """Run the attacks with their full counts on the bundle of `make`, and record the outcomes."""
    workspace, progress = Path("build/cnn"), terminal.Terminal()
    data = mnist.load(progress)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.npz"
        files.write_npz(
            small,
            {
                "x_train": data.x_train[:1000],
                "y_train": data.y_train[:1000],
                "x_test": data.x_test[:200],
                "y_test": data.y_test[:200],
            },
        )
        bundle = Path(folder) / "bundle"
        export(workspace / "model.keras", dataset.load(small), bundle, UNTRAINED)
        attacks: tuple[Callable[[], Outcome], ...] = (
            lambda: mutated_bundles(bundle, 4000),
            lambda: resealed_bundles(bundle, 2000),
            lambda: mutated_records(workspace / "verify.json", workspace / "bench.json", 4000),
            lambda: killed_exports(workspace / "model.keras", small, 100),
            lambda: random_logits(small, 20),
            lambda: planted_errors(small, 20),
            lambda: mutated_networks((bundle / "model.int8.tflite").read_bytes(), 2000),
            lambda: random_networks_as_c(60),
            lambda: cnn_as_c(workspace / "bundle", data.x_test[:]),
        )
        outcomes = []
        for attack in attacks:
            outcome = attack()
            terminal.show(f"{outcome.attack}: {outcome.runs:,} runs, {len(outcome.failures)} failures")
            terminal.show(*outcome.failures[:20])
            outcomes.append(outcome)
    records.write(RECORD, StressRecord(tuple(outcomes), this_machine().cpu))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
