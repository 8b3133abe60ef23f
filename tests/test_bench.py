"""`mnistkit bench` and `mnistkit recommend`, on real workers and artifacts; no test depends on timing."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support import BRIEFLY, Cli

from bench import with_slowdown
from mnistkit.bench_report import BenchReport, Failure, Measurement, RawSamples
from mnistkit.bundle import open_bundle
from mnistkit.core import files, records
from mnistkit.core.errors import BenchError, RecordError
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine, MachineState
from mnistkit.verify.report import VerifyReport
from mnistkit_bench import comparison, jobs, reliability, samples, statistics, tables
from mnistkit_bench.recommendation import Limits, recommend


@pytest.fixture
def accept_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exclude no samples, so that no result depends on the load of this machine."""
    monkeypatch.setattr(samples, "PROBE_TOLERANCE", 1e6)


@pytest.mark.usefixtures("accept_all_samples")
def test_every_artifact_is_measured(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    result = mnistkit("bench", workspace / "bundle", "--seconds", 0.2, "--processes", 2, "--json", path)
    assert result.code == 0
    report = records.read(path, BenchReport, "")
    assert report.bundle_sha256 == files.sha256_of(workspace / "bundle" / "manifest.json")
    assert len(report.measurements) == 7
    for row in report.measurements:
        assert row.artifact in result.out
        assert row.bytes == (workspace / "bundle" / row.artifact).stat().st_size
        latency = row.latency
        assert latency.p90 is not None
        assert 0 < latency.minimum <= latency.p50 <= latency.p90 <= latency.maximum
        assert latency.samples >= 2
        assert min(row.import_ms, row.load_ms, row.first_inference_ms) > 0
        kept, fraction = samples.accepted_samples(samples.unpack(row.raw))
        assert sum(map(len, chain(*kept))) == latency.samples
        assert fraction == pytest.approx(row.accepted_fraction, abs=1e-4)
        assert np.median(np.concatenate([*chain(*kept)])) / 1000 == pytest.approx(latency.p50, abs=1e-3)
        assert row.end_to_end.minimum > 0
        assert row.peak_rss_bytes >= row.rss_bytes > 10**6
        assert row.package_bytes > 10**6
    assert report.machine.cores >= 1
    assert len(report.states) >= 2
    assert report.failures == ()


def test_runtime_option_selects_the_artifacts(mnistkit: Cli, workspace: Path) -> None:
    result = mnistkit("bench", workspace / "bundle", "--runtime", "onnxruntime", *BRIEFLY, "--json", "-")
    rows = json.loads(result.out)["measurements"]
    assert [row["artifact"] for row in rows] == ["model.float32.onnx", "model.dynamic.onnx", "model.int8.onnx"]


def test_workers_do_not_import_tensorflow(workspace: Path) -> None:
    bundle = open_bundle(workspace / "bundle")
    code = "import sys\nfrom mnistkit_bench import worker\nworker.main()\nassert 'tensorflow' not in sys.modules\n"
    for artifact, runtime in zip(bundle.manifest.artifacts[3:5], ("litert", "onnxruntime"), strict=True):
        job = {"artifact": str(bundle.file(artifact)), "runtime": runtime, "threads": 1}
        job["test_set"] = str(bundle.path / "testset.npz")
        request = {"measure": "latency", "seconds": 0}
        completed = subprocess.run(
            [sys.executable, "-c", code],
            input=f"{json.dumps(job)}\n{json.dumps(request)}\n",
            capture_output=True,
            text=True,
            check=True,
        )
        reply = json.loads(completed.stdout.splitlines()[1])
        assert (len(reply["batches"]), len(reply["probes"])) == (1, 2)


@pytest.mark.usefixtures("accept_all_samples")
def test_each_thread_count_is_measured_until_samples_are_reached(mnistkit: Cli, workspace: Path) -> None:
    options = ("--runtime", "litert", "--threads", "1,2", "--samples", 400, "--processes", 2, "--json", "-")
    rows = json.loads(mnistkit("bench", workspace / "bundle", *options).out)["measurements"]
    assert [row["threads"] for row in rows] == [1, 2] * 4
    assert min(row["latency"]["samples"] for row in rows) >= 400
    assert all(row["latency"]["p50_interval"] for row in rows)
    table = mnistkit("bench", workspace / "bundle", "--runtime", "onnxruntime", "--threads", 2, *BRIEFLY).out
    assert "threads" in table


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threads", "0"), ("--threads", "1,x"), ("--threads", ""), ("--fail-over", "x"), ("--fail-over", "-5%")],
)
def test_invalid_number_is_rejected(mnistkit: Cli, workspace: Path, option: str, value: str) -> None:
    result = mnistkit("bench", workspace / "bundle", option, value)
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_existing_json_file_is_replaced_only_with_force(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("mine")
    arguments = ("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY, "--json", path)
    result = mnistkit(*arguments)
    assert result.code == 2
    assert "already exists; pass --force to replace it, or choose another name" in result.err
    assert path.read_text() == "mine"
    assert mnistkit(*arguments, "--force").code == 0
    assert records.read(path, BenchReport, "").measurements


# --- failures ---------------------------------------------------------------------------------------------------

WORKER = """
import os, signal
from mnistkit.runtimes import onnx
from mnistkit_bench import worker
open_session = onnx.open_session
def open_int8(*arguments):
    return {fault} if arguments[1].name == "model.int8.onnx" else open_session(*arguments)
onnx.open_session = open_int8
worker.main()
"""
WORKER_FAULTS = {
    "crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
    "exit": ("os._exit(3)", "exited with code 3"),
    "hang": ("signal.pause()", "did not respond in 10 s"),
    "invalid message": (
        "[os.write(number, b'hello\\n') for number in range(3, 9) if os.path.exists(f'/dev/fd/{number}')]",
        "sent an invalid message: 'hello'",
    ),
    "invalid samples": (
        "setattr(worker, '_probe', int) or open_session(*arguments)",
        "sent invalid samples: the samples of a round must be lists of positive numbers",
    ),
    "missing field": (
        "setattr(worker, '_memory', dict) or open_session(*arguments)",
        "sent an invalid message: rss_bytes",
    ),
    "error": ("1 / 0", "failed: onnxruntime cannot load the artifact: division by zero"),
}


@pytest.mark.parametrize(("fault", "message"), WORKER_FAULTS.values(), ids=WORKER_FAULTS.keys())
def test_worker_failure_is_reported_and_other_artifacts_are_measured(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, message: str
) -> None:
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{WORKER.replace('{fault}', fault)}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    if message.endswith("10 s"):
        monkeypatch.setattr(jobs, "TIMEOUT_SECONDS", 10)
    result = mnistkit("bench", workspace / "bundle", *BRIEFLY, "--json", tmp_path / "bench.json")
    assert result.code == 1
    report = records.read(tmp_path / "bench.json", BenchReport, "")
    assert len(report.measurements) == 6
    (failure,) = report.failures
    assert (failure.artifact, failure.runtime, failure.skipped) == ("model.int8.onnx", "onnxruntime", False)
    assert message in failure.problem
    assert "failed: model.int8.onnx on onnxruntime" in result.out


def test_missing_runtime_is_skipped_with_the_command_that_installs_it(
    mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = mnistkit("bench", workspace / "bundle", *BRIEFLY, "--json", "-")
    assert result.code == 0
    failures = json.loads(result.out)["failures"]
    assert [(row["runtime"], row["skipped"], row["remedy"]) for row in failures] == [
        ("onnxruntime", True, "pip install 'mnistkit[device]'")
    ] * 3


def test_emulated_processor_is_rejected(mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated = Machine("Cortex-A76", 4, "aarch64", "Linux", emulated=True)
    monkeypatch.setattr("mnistkit_bench.runner.this_machine", lambda: emulated)
    result = mnistkit("bench", workspace / "bundle")
    assert result.code == 2
    assert "this processor is emulated, so its latencies are meaningless; measure on the device" in result.err


# --- statistics -------------------------------------------------------------------------------------------------

rounds_of_samples = st.lists(st.lists(st.integers(1, 10**12), min_size=1, max_size=50), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(rounds_of_samples)
def test_statistics_agree_with_numpy(rounds: list[list[int]]) -> None:
    latency = statistics.summarize([[np.array(round_)] for round_ in rounds])
    microseconds = np.concatenate(rounds) / 1000
    percentiles = {0: latency.minimum, 50: latency.p50, 90: latency.p90, 99: latency.p99, 100: latency.maximum}
    for percentile, value in percentiles.items():
        if value is not None:
            assert value == pytest.approx(np.percentile(microseconds, percentile), abs=1e-3, rel=1e-9)
    assert latency.samples == len(microseconds)
    assert latency.mean == pytest.approx(microseconds.mean(), abs=1e-3)
    assert (latency.p90 is None) == (len(microseconds) < 100)
    assert latency.p999 is None
    assert (latency.p50_interval is None) == (len(rounds) < statistics.MIN_ROUNDS)


def test_percentile_needs_ten_samples_beyond_it() -> None:
    assert [statistics.min_samples(percentile) for percentile in (50, 90, 99, 99.9)] == [20, 100, 1000, 10_000]
    assert statistics.summarize([[np.full(9999, 5)]]).p999 is None
    assert statistics.summarize([[np.full(10_000, 5)]]).p999 == 0.005


def random_samples(random: np.random.Generator, scale: float = 1.0) -> samples.SamplesByProcess:
    """Skewed samples with a median of 20 µs × `scale`, whose speed varies between processes and between rounds."""
    processes = random.normal(1, 0.005, (4, 1)) + random.normal(0, 0.02, (4, 10))
    return [
        [(20_000 * scale * speed * random.lognormal(0, 0.1, 100)).astype(int) for speed in speeds]
        for speeds in processes
    ]


def test_confidence_interval_of_the_median_covers_it_in_19_of_20_runs() -> None:
    random = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        interval = statistics.summarize(random_samples(random)).p50_interval
        assert interval
        covered.append(interval.low <= 20.0 <= interval.high)
    assert np.mean(covered) >= 0.95


def test_confidence_interval_of_the_ratio_of_equal_runs_covers_1_in_19_of_20_pairs() -> None:
    random = np.random.default_rng(5)
    intervals = [statistics.median_ratio(random_samples(random), random_samples(random))[1] for _ in range(200)]
    assert np.mean([interval is not None and interval.low <= 1 <= interval.high for interval in intervals]) >= 0.95


def test_confidence_interval_contains_the_median_of_tied_samples() -> None:
    for nanoseconds in ([20_000] * 60 + [40_000] * 40, [5000] * 100):
        latency = statistics.summarize([[np.array(nanoseconds)] * 10] * 2)
        assert latency.p50_interval
        assert latency.p50_interval.low <= latency.p50 <= latency.p50_interval.high


# --- raw samples ------------------------------------------------------------------------------------------------


def to_rounds(processes: samples.SamplesByProcess, *probes: int) -> samples.RoundsByProcess:
    """The samples as rounds of one-sample batches, with these interference probes or, by default, all of 100 ns."""
    return [
        [samples.Round(array, np.ones_like(array), np.array(probes or [100] * (len(array) + 1))) for array in rounds]
        for rounds in processes
    ]


def test_raw_samples_are_packed_losslessly_in_few_bytes() -> None:
    processes = random_samples(np.random.default_rng(1))
    raw = samples.pack(to_rounds(processes))
    unpacked = samples.unpack(raw)
    assert [[round_.nanoseconds.tolist() for round_ in rounds] for rounds in unpacked] == [
        [array.tolist() for array in rounds] for rounds in processes
    ]
    assert all(set(round_.probes) == {100} and set(round_.batches) == {1} for round_ in chain(*unpacked))
    assert len(raw.nanoseconds) < 4 * sum(map(len, chain(*processes)))


@pytest.mark.parametrize("field", ["batches", "probes", "nanoseconds"])
@pytest.mark.parametrize("text", ["", "%%", "AAAA", "eJwDAAAAAAE="])
def test_corrupt_raw_samples_are_rejected(field: str, text: str) -> None:
    raw = samples.pack(to_rounds([[np.array([5, 6, 7])]]))
    with pytest.raises(RecordError, match="measure again with"):
        samples.unpack(RawSamples(**{**vars(raw), field: text}))


def to_lists(processes: samples.SamplesByProcess) -> list[list[list[int]]]:
    return [[array.tolist() for array in rounds] for rounds in processes]


def test_samples_next_to_slow_interference_probes_are_excluded() -> None:
    rounds = to_rounds([[np.array([1, 2, 30, 40, 5])]], 100, 101, 104, 150, 102, 100)
    kept, fraction = samples.accepted_samples(rounds)
    assert (to_lists(kept), fraction) == ([[[1, 2, 5]]], 0.6)


def test_all_samples_are_used_if_none_is_accepted() -> None:
    kept, fraction = samples.accepted_samples(to_rounds([[np.array([1, 2])]], 100, 200, 100))
    assert (to_lists(kept), fraction) == ([[[1, 2]]], 0)


def test_process_with_too_few_accepted_samples_is_excluded() -> None:
    busy = to_rounds([[np.arange(1, 30)]], *[100] * 2, *[200] * 28)
    kept, fraction = samples.accepted_samples([*to_rounds([[np.array([1])]]), *busy])
    assert (to_lists(kept), fraction) == ([[[1]]], 1 / 30)
    slow = to_rounds([[np.array([7, 8])]], 200, 200, 200)
    kept, fraction = samples.accepted_samples([*to_rounds([[np.array([1, 2])]]), *slow])
    assert (to_lists(kept), fraction) == ([[[1, 2]]], 0.5)


# --- tables -----------------------------------------------------------------------------------------------------

MACHINE = Machine("CPU", 2, "x86_64", "Linux")


def measurement(artifact: str, processes: samples.SamplesByProcess, size: int = 100) -> Measurement:
    latency, raw = statistics.summarize(processes), samples.pack(to_rounds(processes))
    return Measurement(artifact, "litert", 1, size, 0, 1.0, 1.0, 1.0, 1, 1, 0.1, 1.0, latency, latency, (), raw)


def bench_report(*rows: Measurement, machine: Machine = MACHINE) -> BenchReport:
    return BenchReport("b", machine, (), (), rows, (), {})


@pytest.mark.parametrize("threads", [1, 4])
def test_bench_table_is_at_most_90_columns_wide(threads: int) -> None:
    row = replace(
        measurement("model.float32.tflite", random_samples(np.random.default_rng(1), 10)),
        runtime="onnxruntime",
        threads=threads,
        peak_rss_bytes=100 * 10**6,
        import_ms=1000.0,
        unstable=("a reason",),
    )
    table = tables.bench_table(bench_report(row))
    assert Console(width=200).measure(table).maximum <= 90


def test_remarks_report_warnings_failures_and_accepted_fractions() -> None:
    first, second = (measurement(name, random_samples(np.random.default_rng(1))) for name in ("a", "b"))
    first = replace(first, accepted_fraction=0.09, unstable=("p50 uncertain",))
    second = replace(second, accepted_fraction=0.71)
    failure = Failure("c", "onnxruntime", 2, "not installed", "install it", skipped=True)
    report = replace(bench_report(first, second), unstable=("background load: 0.5 cores",), failures=(failure,))
    assert tables.bench_remarks(report) == [
        "* WARNING: the result may be unstable: background load: 0.5 cores",
        "* WARNING: the result may be unstable: a on litert: p50 uncertain",
        "not measured: c on onnxruntime, 2 threads: not installed; install it",
        "samples taken while the interference probe ran slow are excluded; 9% to 71% kept",
    ]


# --- comparison -------------------------------------------------------------------------------------------------


def test_injected_slowdown_of_10_percent_is_found_and_equal_runs_do_not_differ() -> None:
    random = np.random.default_rng(7)
    for _ in range(20):
        baseline, equal = (bench_report(measurement("a", random_samples(random))) for _ in range(2))
        slow, fast = (bench_report(measurement("a", random_samples(random, scale))) for scale in (1.1, 1 / 1.1))
        comparisons = [comparison.compare_reports(baseline, current, 0.05) for current in (equal, slow, fast)]
        changes = [compared.measurements[0].change for compared in comparisons]
        assert changes == ["no measurable difference", "slower", "faster"]
        assert comparison.compare_reports(baseline, slow, 0.05).failed
        assert not comparison.compare_reports(baseline, slow, 0.20).failed
        assert not comparison.compare_reports(baseline, equal, 0.05).failed


def test_comparison_with_too_few_rounds_fails() -> None:
    report = bench_report(measurement("a", [[np.full(100, 20_000)] * 2] * 2))
    compared = comparison.compare_reports(report, report, 0.05)
    assert (compared.measurements[0].change, compared.failed) == ("too few rounds", True)


def test_baseline_of_another_machine_needs_across_machines(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    row = measurement("model.int8.tflite", random_samples(np.random.default_rng(1)))
    path = tmp_path / "baseline.json"
    records.write(path, bench_report(row, machine=replace(MACHINE, cpu="another")))
    arguments = ("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY, "--compare", path)
    result = mnistkit(*arguments)
    assert result.code == 2
    assert "the baseline is from another machine: cpu another instead of " in result.err
    assert "pass --across-machines" in result.err
    result = mnistkit(*arguments, "--across-machines")
    assert result.code == 1
    assert "too few rounds" in result.out


@pytest.mark.parametrize(
    "raw",
    [
        RawSamples((1,), (3,), "", "", ""),
        RawSamples((1,), (10**30,), *["eJwDAAAAAAE="] * 3),
        RawSamples((), (), "", "", ""),
    ],
)
def test_corrupt_baseline_is_rejected_before_measuring(
    mnistkit: Cli, workspace: Path, tmp_path: Path, raw: RawSamples
) -> None:
    row = replace(measurement("model.int8.tflite", random_samples(np.random.default_rng(1))), raw=raw)
    records.write(tmp_path / "baseline.json", bench_report(row))
    result = mnistkit("bench", workspace / "bundle", "--compare", tmp_path / "baseline.json", "--across-machines")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_fail_over_below_the_repeatability_is_rejected(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    records.write(tmp_path / "baseline.json", bench_report())
    options = ("--compare", tmp_path / "baseline.json", "--across-machines", "--fail-over", "1%")
    result = mnistkit("bench", workspace / "bundle", *options)
    assert result.code == 2
    assert "a slowdown of 1% is not measurable: two runs differ by up to 3%; pass --fail-over 3% or more" in result.err


def test_missing_measurements_are_reported_and_no_common_measurement_fails() -> None:
    processes = random_samples(np.random.default_rng(1))
    first, second = measurement("a", processes), measurement("b", processes)
    compared = comparison.compare_reports(bench_report(first, second), bench_report(second), 0.05)
    assert "measured only in the baseline: a on litert" in tables.comparison_remarks(compared)
    assert comparison.compare_reports(bench_report(first), bench_report(second), 0.05).failed


@pytest.mark.usefixtures("accept_all_samples")
def test_regression_exits_with_1(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    arguments = ("bench", workspace / "bundle", "--runtime", "litert", "--seconds", 0.3, "--processes", 2)
    assert mnistkit(*arguments, "--json", path).code == 0
    baseline = records.read(path, BenchReport, "")
    for factor, code in ((10, 0), (0.1, 1)):  # far more than the latency of a busy machine varies
        records.write(path, with_slowdown(baseline, factor))
        result = mnistkit(*arguments, "--compare", path, "--fail-over", "20%")
        assert result.code == code
        assert result.out.count("slower" if code else "faster") >= 4


# --- reliability ------------------------------------------------------------------------------------------------


def test_throttling_clock_changes_and_background_load_are_reported() -> None:
    normal, hot = MachineState(2400, 50, 0.1, 0), MachineState(1500, 85, 0.1, 0x50005)
    assert reliability.machine_warnings([normal, normal], 0.1) == []
    assert reliability.machine_warnings([MachineState(None, None, 0.1, None)], 0) == []
    assert reliability.machine_warnings([normal, hot, normal], 0.5) == [
        "the board was throttled: throttled, under-voltage (check its cooling and power supply)",
        "the clock changed from 1,500 to 2,400 MHz (set the performance governor)",
        "background load: 0.5 cores (stop other programs)",
    ]


def test_throttling_between_two_states_is_reported_but_not_throttling_before_the_first() -> None:
    normal, throttled_since_boot = MachineState(2400, 50, 0.1, 0), MachineState(2400, 80, 0.1, 0x40000)
    (warning,) = reliability.machine_warnings([normal, throttled_since_boot], 0)
    assert warning.startswith("the board was throttled: throttled (")
    assert reliability.machine_warnings([throttled_since_boot, throttled_since_boot], 0) == []


def test_unstable_measurement_is_reported() -> None:
    latency = statistics.summarize(random_samples(np.random.default_rng(1)))
    assert reliability.measurement_warnings(latency, 1.0, is_steady=True) == []
    assert "no steady state" in reliability.measurement_warnings(latency, 1.0, is_steady=False)[0]
    assert "more than 95% of the samples" in reliability.measurement_warnings(latency, 0, is_steady=True)[0]
    two_samples = statistics.summarize([[np.array([5, 6])]])
    assert "2 processes and 5 rounds" in reliability.measurement_warnings(two_samples, 1.0, is_steady=True)[0]
    varying = statistics.summarize([[np.full(50, 20_000)] * 10, [np.full(50, 40_000)] * 10])
    assert "p50 uncertain by more than ±3%" in reliability.measurement_warnings(varying, 1.0, is_steady=True)[0]


def test_strict_exits_with_4_if_a_measurement_may_be_unstable(
    mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistkit_bench.monitor.read_state", lambda: MachineState(None, None, 0.1, 0x4))
    arguments = ("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY)
    result = mnistkit(*arguments, "--strict")
    assert result.code == 4
    assert "* WARNING: the result may be unstable: the board was throttled: throttled" in result.out
    assert mnistkit(*arguments).code == 0
    monkeypatch.setattr(reliability, "machine_warnings", lambda *_: [])
    monkeypatch.setattr(reliability, "measurement_warnings", lambda *_, **__: [])
    assert mnistkit(*arguments, "--strict").code == 0


# --- recommendation ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def verified(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> VerifyReport:
    from mnistkit.cli import main

    path = tmp_path_factory.mktemp("verified") / "verify.json"
    assert main.run(["verify", str(workspace / "bundle"), "--runtime", "litert", "--json", str(path)]) == 0
    return replace(records.read(path, VerifyReport, ""), bundle_sha256="b")


def with_p50(quantization: str, p50: float, half_width: float, size: int) -> Measurement:
    """A measurement with this p50 and half-width of its 95% CI in microseconds, of an artifact of `size` bytes."""
    row = measurement(f"model.{quantization}.tflite", [[np.full(100, int(1000 * p50))]], size)
    return replace(row, latency=replace(row.latency, p50_interval=Interval(p50 - half_width, p50 + half_width)))


def test_fastest_passing_artifact_is_recommended_and_the_smallest_of_tied_ones(verified: VerifyReport) -> None:
    dynamic, int8 = with_p50("dynamic", 20, 1, 300), with_p50("int8", 21, 0.5, 100)
    slower = with_p50("float32", 50, 1, 400), with_p50("float16", 49, 1, 200)
    result = recommend(verified, bench_report(dynamic, int8, *slower), Limits())
    assert [candidate.artifact for candidate in result.candidates] == [
        f"model.{quantization}.tflite" for quantization in ("dynamic", "int8", "float16", "float32")
    ]
    assert (result.tied, result.recommended) == ((0, 1), 1)
    precise = with_p50("dynamic", 20, 0.1, 300)
    result = recommend(verified, bench_report(precise, int8, *slower), Limits())
    assert (result.tied, result.recommended) == ((0,), 0)


def test_artifact_beyond_a_limit_is_rejected_with_the_reason(verified: VerifyReport) -> None:
    report = bench_report(with_p50("dynamic", 20, 1, 300), with_p50("int8", 30, 1, 100))
    result = recommend(verified, report, Limits(max_size=200))
    assert result.recommended == 1
    assert result.candidates[0].rejection_reason == "size over 200 bytes"
    result = recommend(verified, report, Limits(max_latency=10))
    assert (result.recommended, result.tied) == (None, ())
    assert all("p50 over 10 µs" in candidate.rejection_reason for candidate in result.candidates)


def test_artifact_that_does_not_pass_is_never_recommended(verified: VerifyReport) -> None:
    dynamic = replace(verified.rows[2], parity=replace(verified.rows[2].parity, verdict="FAIL"))
    failed = replace(verified, rows=(*verified.rows[:2], dynamic, verified.rows[3]))
    report = bench_report(with_p50("dynamic", 20, 1, 300), with_p50("int8", 30, 1, 100))
    result = recommend(failed, report, Limits())
    assert result.recommended == 1
    assert result.candidates[0].rejection_reason == "verdict FAIL"
    assert not result.candidates[0].pareto


def test_pareto_optimal_candidates_are_those_that_no_other_dominates(verified: VerifyReport) -> None:
    parity = verified.rows[0].parity
    equally_accurate = replace(verified, rows=tuple(replace(row, parity=parity) for row in verified.rows))
    rows = with_p50("dynamic", 20, 1, 300), with_p50("int8", 30, 1, 100), with_p50("float16", 40, 1, 200)
    result = recommend(equally_accurate, bench_report(*rows), Limits())
    assert [candidate.pareto for candidate in result.candidates] == [True, True, False]


def test_reports_of_different_bundles_are_rejected(verified: VerifyReport) -> None:
    with pytest.raises(BenchError, match="different bundles"):
        recommend(replace(verified, bundle_sha256="c"), bench_report(with_p50("int8", 1, 1, 1)), Limits())


def test_recommendation_warns_of_an_unstable_measurement(verified: VerifyReport) -> None:
    row = with_p50("int8", 20, 1, 100)
    line = "recommended: model.int8.tflite on litert: the fastest that passes"
    assert tables.recommendation_line(recommend(verified, bench_report(row), Limits())) == line
    unstable = recommend(verified, bench_report(replace(row, unstable=("a reason",))), Limits())
    assert tables.recommendation_line(unstable) == f"{line}; WARNING: the measurement may be unstable"


def test_recommend_prints_the_recommended_artifact(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    verify, bench = tmp_path / "verify.json", tmp_path / "bench.json"
    assert mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", verify).code == 0
    assert mnistkit("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY, "--json", bench).code == 0
    result = mnistkit("recommend", verify, bench)
    assert result.code == 0
    *table, line = result.out.splitlines()
    assert "\n".join(table).count("recommended") == 1
    assert line.startswith("recommended: model.")
    assert mnistkit("recommend", verify, bench, "--json", bench).code == 2
    assert records.read(bench, BenchReport, "")
    result = mnistkit("recommend", verify, bench, "--max-size", 1)
    assert result.code == 1
    assert "no recommendation: no artifact passes and is within the limits" in result.out
