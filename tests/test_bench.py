"""`mnistkit bench` and `mnistkit recommend`, on real workers and artifacts; no test depends on timing."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from support import BRIEFLY, Cli

from bench import with_slowdown
from mnistkit.bench_report import BenchReport, Failure, Latency, Measurement, Percentile, RawSamples
from mnistkit.bundle import open_bundle
from mnistkit.core import files, records
from mnistkit.core.errors import BenchError, RecordError
from mnistkit.core.interval import Interval
from mnistkit.device import machine
from mnistkit.device.machine import Machine, MachineState
from mnistkit.verify.report import VerifyReport
from mnistkit_bench import comparison, deadline, jobs, reliability, samples, statistics, tables
from mnistkit_bench.recommendation import Limits, recommend


@pytest.fixture
def idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count all samples as idle, so that no result depends on the load of this machine."""
    monkeypatch.setattr(samples.Round, "quiet_batches", lambda round_, _: np.ones(len(round_.batches), bool))
    monkeypatch.setattr(samples, "OVERRUN_FACTOR", 1e6)


@pytest.mark.usefixtures("idle_machine")
def test_every_artifact_is_measured(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    result = mnistkit("bench", workspace / "bundle", "--seconds", 0.2, "--processes", 2, "--json", path)
    assert result.code == 0
    report = records.read(path, BenchReport, "")
    assert report.bundle_sha256 == files.sha256_of(workspace / "bundle" / "manifest.json")
    assert len(report.measurements) == 8
    for row in report.measurements:
        assert row.artifact in result.out
        assert row.bytes == (workspace / "bundle" / row.artifact).stat().st_size
        idle, observed = row.latency.idle, row.latency.observed
        assert idle.p90 is not None
        assert 0 < observed.minimum <= idle.p50 <= idle.p90 <= observed.maximum
        assert min(row.import_ms, row.load_ms, row.first_inference_ms) > 0
        everything = samples.pool(samples.all_samples(samples.unpack(row.raw)))
        assert len(everything) == observed.samples == idle.samples
        assert np.median(everything) / 1000 == pytest.approx(observed.p50.value, abs=1e-3)
        assert row.end_to_end.observed.minimum > 0
        assert row.peak_rss_bytes >= row.rss_bytes > 10**6
        assert row.package_bytes > 10**6 or row.runtime == "c"
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
        job = {"artifact": str(bundle.file(artifact)), "runtime": runtime, "trust_code": False, "threads": 1}
        job |= {"cpu": None, "batch": 1, "parallel": 1}
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
        assert (len(reply["batches"]), len(reply["switches"]), len(reply["probes"])) == (1, 1, 2)


@pytest.mark.usefixtures("idle_machine")
def test_each_thread_count_is_measured_until_samples_are_reached(mnistkit: Cli, workspace: Path) -> None:
    options = ("--runtime", "litert", "--threads", "1,2", "--samples", 400, "--processes", 2, "--json", "-")
    rows = json.loads(mnistkit("bench", workspace / "bundle", *options).out)["measurements"]
    assert [row["threads"] for row in rows] == [1, 2] * 4
    assert min(row["latency"]["idle"]["samples"] for row in rows) >= 400
    assert all(row["latency"]["idle"]["p50_interval"] for row in rows)
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
    assert len(report.measurements) == 7
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
    monkeypatch.setattr("mnistkit_bench.measurements.this_machine", lambda: emulated)
    result = mnistkit("bench", workspace / "bundle")
    assert result.code == 2
    assert "this processor is emulated, so its latencies are meaningless; measure on the device" in result.err


# --- statistics -------------------------------------------------------------------------------------------------

rounds_of_samples = st.lists(st.lists(st.integers(1, 10**12), min_size=1, max_size=50), min_size=1, max_size=12)


def to_rounds(processes: samples.SamplesByProcess, *probes: int) -> samples.RoundsByProcess:
    """The samples as rounds of one-sample batches, with these interference probes or, by default, all of 100 ns."""
    return [
        [
            samples.Round(array, ones, np.zeros_like(array), np.array(probes or [100] * (len(array) + 1)))
            for array in rounds
            for ones in [np.ones_like(array)]
        ]
        for rounds in processes
    ]


def summarize(processes: samples.SamplesByProcess) -> Latency:
    """Both views of samples on an idle machine."""
    return statistics.summarize(to_rounds(processes))


@settings(deadline=None, max_examples=50)
@given(rounds_of_samples)
def test_statistics_agree_with_numpy(rounds: list[list[int]]) -> None:
    observed = summarize([[np.array(round_)] for round_ in rounds]).observed
    microseconds = np.concatenate(rounds) / 1000
    values = {0: observed.minimum, 50: observed.p50.value, 100: observed.maximum}
    values |= {q: tail.value for q, tail in ((90, observed.p90), (99, observed.p99)) if tail}
    for percentile, value in values.items():
        assert value == pytest.approx(np.percentile(microseconds, percentile), abs=1e-3, rel=1e-9)
    assert observed.samples == len(microseconds)
    assert observed.mean == pytest.approx(microseconds.mean(), abs=1e-3)
    assert (observed.p90 is None) == (len(microseconds) < 100)
    assert observed.p999 is None
    assert (observed.p50.interval is None) == (len(rounds) < statistics.MIN_ROUNDS)


def test_percentile_needs_ten_samples_beyond_it() -> None:
    assert [statistics.min_samples(percentile) for percentile in (50, 90, 99, 99.9)] == [20, 100, 1000, 10_000]
    assert summarize([[np.full(9999, 5)]]).observed.p999 is None
    assert summarize([[np.full(10_000, 5)]]).observed.p999 == Percentile(0.005, None)


def random_samples(random: np.random.Generator, scale: float = 1.0) -> samples.SamplesByProcess:
    """Skewed samples with a median of 20 µs × `scale`, whose speed varies between processes and between rounds."""
    processes = random.normal(1, 0.005, (4, 1)) + random.normal(0, 0.02, (4, 10))
    return [
        [(20_000 * scale * speed * random.lognormal(0, 0.1, 100)).astype(int) for speed in speeds]
        for speeds in processes
    ]


@pytest.mark.parametrize("percentile", [50, 90, 99])
def test_confidence_interval_of_a_percentile_covers_it_in_19_of_20_runs(percentile: int) -> None:
    random = np.random.default_rng(3)
    truth = float(np.percentile(samples.pool([random_samples(random)[0] for _ in range(2000)]), percentile)) / 1000
    covered = []
    for _ in range(200):
        observed = summarize(random_samples(random)).observed
        result = {50: observed.p50, 90: observed.p90, 99: observed.p99}[percentile]
        assert result
        assert result.interval
        covered.append(result.interval.low <= truth <= result.interval.high)
    assert sum(covered) >= 186


@pytest.mark.parametrize("percentile", [50, 90, 99])
def test_confidence_interval_of_the_ratio_of_equal_runs_covers_1_in_19_of_20_pairs(percentile: int) -> None:
    random = np.random.default_rng(5)
    pairs = ((random_samples(random), random_samples(random)) for _ in range(200))
    intervals = [statistics.percentile_ratio(*pair, percentile)[1] for pair in pairs]
    assert sum(interval is not None and interval.low <= 1 <= interval.high for interval in intervals) >= 186


def test_confidence_interval_contains_the_median_of_tied_samples() -> None:
    for nanoseconds in ([20_000] * 60 + [40_000] * 40, [5000] * 100):
        idle = summarize([[np.array(nanoseconds)] * 10] * 2).idle
        assert idle.p50_interval
        assert idle.p50_interval.low <= idle.p50 <= idle.p50_interval.high


def test_required_processes_grow_with_the_variance_between_processes() -> None:
    def processes(*medians: int) -> samples.SamplesByProcess:
        return [[np.full(100, median)] for median in medians]

    assert statistics.required_processes(processes(100)) == math.inf
    assert statistics.required_processes(processes(1000, 1000, 1000, 1000)) == 0
    # The deviation is 1.83% of the mean, Student's t for 3 degrees of freedom 3.18: (3.18 * 1.83 / 2) ** 2
    assert statistics.required_processes(processes(980, 1000, 1020, 1000)) == pytest.approx(7, abs=1)
    assert statistics.required_processes(processes(960, 1000, 1040, 1000)) > 20


# --- two views --------------------------------------------------------------------------------------------------


def make_round(nanoseconds: list[int], batches: list[int], switches: list[int]) -> samples.Round:
    return samples.Round(np.array(nanoseconds), np.array(batches), np.array(switches), np.full(len(batches) + 1, 100))


def test_artifact_whose_own_time_varies_keeps_its_distribution() -> None:
    """Every tenth inference takes 1.5 times as long, at any position of a batch."""
    batches, durations = [37, 41, 40, 43, 39] * 20, [20_000] * 9 + [30_000]
    own = (durations * 400)[: sum(batches)]
    latency = statistics.summarize([[make_round(own, batches, [0] * 100)] * 5] * 4)
    assert (latency.idle.share, latency.idle.p50, latency.idle.p99) == (1, 20, 30)
    assert latency.observed.p99 == Percentile(30, Interval(30, 30))
    assert np.mean(samples.pool(samples.idle_samples([[make_round(own, batches, [0] * 100)]])) == 30_000) == 0.1


def test_interrupted_batches_are_observed_but_not_idle() -> None:
    quiet, interrupted, stolen = [20_000] * 50, [20_000] * 49 + [900_000], [20_000] * 49 + [4_000_000]
    round_ = make_round([*quiet * 7, *interrupted, *stolen], [50] * 9, [0] * 7 + [1, 0])
    latency = statistics.summarize([[round_] * 5] * 4)
    assert (latency.idle.share, latency.idle.p50, latency.idle.p90, latency.idle.p99) == (0.7778, 20, None, None)
    assert latency.observed.samples == 20 * 450
    assert latency.observed.maximum == 4000
    assert latency.observed.mean == pytest.approx((20 * 448 + 900 + 4000) / 450, abs=1e-3)


def test_slow_artifact_with_one_inference_in_each_batch_is_idle() -> None:
    slow = make_round([20_000_000, 21_000_000, 20_500_000] * 4, [1] * 12, [0] * 12)
    assert statistics.summarize([[slow]]).idle.share == 1


# --- deadline ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 10**6), st.floats(0, 1))
def test_binomial_interval_contains_the_share(total: int, share: float) -> None:
    count = round(share * total)
    interval = deadline.wilson_interval(count, total)
    assert 0 <= interval.low <= count / total <= interval.high <= 1


def test_binomial_interval_is_wilsons() -> None:
    interval = deadline.wilson_interval(10, 100)
    assert (interval.low, interval.high) == pytest.approx((0.05523, 0.17437), abs=1e-5)


@pytest.mark.parametrize(("missed", "verdict"), [(0, "PASS"), (50, "PASS"), (100, "INCONCLUSIVE"), (150, "FAIL")])
def test_deadline_is_judged_by_the_interval_of_the_share(missed: int, verdict: str) -> None:
    processes = [[np.array([2_000_000] * missed + [500_000] * (10_000 - missed))]]
    judged = deadline.judge_deadline(processes, 1, 0.01)
    assert (judged.missed, judged.share, judged.verdict) == (missed, missed / 10_000, verdict)


@pytest.mark.parametrize(("milliseconds", "code"), [(1e-6, 1), (1e6, 0)])
def test_missed_deadline_exits_with_1(mnistkit: Cli, workspace: Path, milliseconds: float, code: int) -> None:
    options = "--runtime", "litert", "--seconds", 0.2, "--processes", 1, "--deadline", milliseconds
    result = mnistkit("bench", workspace / "bundle", *options)
    assert result.code == code
    assert f"Deadline of {milliseconds:g} ms" in result.out


def test_too_few_samples_for_a_deadline_exit_with_3(mnistkit: Cli, workspace: Path) -> None:
    options = "--runtime", "litert", *BRIEFLY, "--deadline", 1e6, "--max-miss", "0.000001%"
    assert mnistkit("bench", workspace / "bundle", *options).code == 3


# --- throughput -------------------------------------------------------------------------------------------------


def test_throughput_of_every_setting_is_measured_and_the_best_recommended(
    mnistkit: Cli, workspace: Path, tmp_path: Path
) -> None:
    bench, verify = tmp_path / "bench.json", tmp_path / "verify.json"
    settings = "--batch", "1,4", "--parallel", "1,2", "--threads", "1"
    brief = "--runtime", "onnxruntime", "--seconds", 0.3, "--processes", 2
    result = mnistkit("bench", workspace / "bundle", *settings, *brief, "--json", bench)
    assert result.code == 0, result.err
    report = records.read(bench, BenchReport, "")
    assert report.measurements == ()
    assert [(row.batch, row.parallel) for row in report.throughputs] == [(1, 1), (1, 2), (4, 1), (4, 2)] * 3
    for artifact in {row.artifact for row in report.throughputs}:
        rows = [row for row in report.throughputs if row.artifact == artifact]
        fastest = max(rows, key=lambda row: row.images_per_second)
        assert [row for row in rows if row.best] == [fastest]
        for row in rows:
            assert row.interval
            assert row.interval.low <= row.images_per_second <= row.interval.high
    assert mnistkit("verify", workspace / "bundle", "--runtime", "onnxruntime", "--json", verify).code == 0
    told = mnistkit("recommend", verify, bench, "--for", "throughput")
    assert told.code == 0
    assert "images/s" in told.out
    assert told.out.splitlines()[-1].startswith("recommended: model.")
    assert mnistkit("recommend", verify, bench).code == 2


def test_session_of_another_batch_size_is_reported(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = "(setattr(session := open_session(*arguments), 'batch', 1), session)[1]"
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{WORKER.replace('{fault}', fault)}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    options = "--runtime", "onnxruntime", *BRIEFLY, "--batch", 8, "--json", "-"
    (failure,) = json.loads(mnistkit("bench", workspace / "bundle", *options).out)["failures"]
    assert (failure["artifact"], failure["batch"]) == ("model.int8.onnx", 8)
    assert "the artifact takes 1 images at once, not 8" in failure["problem"]


@pytest.mark.parametrize("option", [("--deadline", 1), ("--compare", "b.json")])
def test_throughput_has_no_deadline_and_no_baseline(mnistkit: Cli, workspace: Path, option: tuple[object, ...]) -> None:
    result = mnistkit("bench", workspace / "bundle", "--batch", 8, *option)
    assert (result.code, "measure throughput, which has no" in result.err) == (2, True)


# --- pinning ----------------------------------------------------------------------------------------------------


def test_workers_run_on_the_chosen_core(mnistkit: Cli, workspace: Path) -> None:
    core = max(os.sched_getaffinity(0))
    result = mnistkit("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY, "--cpu", core)
    assert result.code == 0
    assert f"on core {core}" in result.out
    assert f"core {core} is " in result.out
    result = mnistkit("bench", workspace / "bundle", "--cpu", 4096)
    assert (result.code, "there is no core 4096; choose from " in result.err) == (2, True)
    assert mnistkit("bench", workspace / "bundle", "--cpu", core, "--threads", 2).code == 2


@pytest.mark.parametrize(("text", "cores"), [("", set()), ("3\n", {3}), ("1-3,5\n", {1, 2, 3, 5})])
def test_isolated_cores_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: set[int]) -> None:
    (tmp_path / "isolated").write_text(text)
    monkeypatch.setattr(machine, "CPU_FOLDER", tmp_path)
    assert machine.isolated_cpus() == cores


# --- raw samples ------------------------------------------------------------------------------------------------


def test_raw_samples_are_packed_losslessly_in_few_bytes() -> None:
    processes = random_samples(np.random.default_rng(1))
    raw = samples.pack(to_rounds(processes))
    unpacked = samples.unpack(raw)
    assert [[round_.nanoseconds.tolist() for round_ in rounds] for rounds in unpacked] == [
        [array.tolist() for array in rounds] for rounds in processes
    ]
    assert all(set(round_.probes) == {100} and set(round_.batches) == {1} for round_ in chain(*unpacked))
    assert len(raw.nanoseconds) < 4 * sum(map(len, chain(*processes)))


@pytest.mark.parametrize("field", ["batches", "switches", "probes", "nanoseconds"])
@pytest.mark.parametrize("text", ["", "%%", "AAAA", "eJwDAAAAAAE="])
def test_corrupt_raw_samples_are_rejected(field: str, text: str) -> None:
    raw = samples.pack(to_rounds([[np.array([5, 6, 7])]]))
    with pytest.raises(RecordError, match="measure again with"):
        samples.unpack(RawSamples(**{**vars(raw), field: text}))


def to_lists(processes: samples.SamplesByProcess) -> list[list[list[int]]]:
    return [[array.tolist() for array in rounds] for rounds in processes]


def test_samples_next_to_slow_interference_probes_are_not_idle() -> None:
    rounds = to_rounds([[np.array([1, 2, 30, 40, 5])]], 100, 101, 104, 150, 102, 100)
    assert to_lists(samples.idle_samples(rounds)) == [[[1, 2, 5]]]


def test_all_samples_are_used_if_none_is_idle() -> None:
    rounds = to_rounds([[np.array([1, 2])]], 100, 200, 100)
    assert samples.idle_samples(rounds) == []
    idle = statistics.summarize(rounds).idle
    assert (idle.samples, idle.share, idle.p50, idle.p50_interval) == (2, 0, 0.0015, None)


def test_process_with_too_few_idle_samples_is_left_out() -> None:
    busy = to_rounds([[np.arange(1, 30)]], *[100] * 2, *[200] * 28)
    assert to_lists(samples.idle_samples([*to_rounds([[np.array([1])]]), *busy])) == [[[1]]]
    slow = to_rounds([[np.array([7, 8])]], 200, 200, 200)
    assert to_lists(samples.idle_samples([*to_rounds([[np.array([1, 2])]]), *slow])) == [[[1, 2]]]


# --- tables -----------------------------------------------------------------------------------------------------

MACHINE = Machine("CPU", 2, "x86_64", "Linux")


def measurement(artifact: str, processes: samples.SamplesByProcess, size: int = 100) -> Measurement:
    latency, raw = summarize(processes), samples.pack(to_rounds(processes))
    return Measurement(artifact, "litert", 1, 1, 1, size, 0, 1.0, 1.0, 1.0, 1, 1, 0.1, latency, latency, None, (), raw)


def bench_report(*rows: Measurement, machine: Machine = MACHINE) -> BenchReport:
    return BenchReport("b", machine, None, (), (), rows, (), (), {})


def with_idle_share(row: Measurement, share: float) -> Measurement:
    return replace(row, latency=replace(row.latency, idle=replace(row.latency.idle, share=share)))


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


def test_remarks_report_warnings_failures_and_shares_of_idle_samples() -> None:
    first, second = (measurement(name, random_samples(np.random.default_rng(1))) for name in ("a", "b"))
    first = replace(with_idle_share(first, 0.09), unstable=("p50 uncertain",))
    second = with_idle_share(second, 0.71)
    failure = Failure("c", "onnxruntime", 2, 1, 1, "not installed", "install it", skipped=True)
    report = replace(bench_report(first, second), unstable=("background load: 0.5 cores",), failures=(failure,))
    assert tables.bench_remarks(report) == [
        "* WARNING: the result may be unstable: background load: 0.5 cores",
        "* WARNING: the result may be unstable: a on litert: p50 uncertain",
        "not measured: c on onnxruntime, 2 threads: not installed; install it",
        "idle p50 is of the samples that no other load slowed or interrupted: 9% to 71%",
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
    assert (compared.measurements[0].change, compared.failed) == ("cannot tell", True)


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
    assert "cannot tell" in result.out


@pytest.mark.parametrize(
    "raw",
    [
        RawSamples((1,), (3,), "", "", "", ""),
        RawSamples((1,), (10**30,), *["eJwDAAAAAAE="] * 4),
        RawSamples((), (), "", "", "", ""),
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


@pytest.mark.usefixtures("idle_machine")
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
    idle = summarize(random_samples(np.random.default_rng(1))).idle
    assert reliability.measurement_warnings(idle, is_steady=True) == []
    assert "no steady state" in reliability.measurement_warnings(idle, is_steady=False)[0]
    slowed = replace(idle, share=0)
    assert "slowed or interrupted all samples" in reliability.measurement_warnings(slowed, is_steady=True)[0]
    two_samples = summarize([[np.array([5, 6])]]).idle
    assert "2 processes and 5 rounds" in reliability.measurement_warnings(two_samples, is_steady=True)[0]
    varying = summarize([[np.full(50, 20_000)] * 10, [np.full(50, 40_000)] * 10]).idle
    assert "p50 uncertain by more than ±3%" in reliability.measurement_warnings(varying, is_steady=True)[0]


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


def with_p50(quantization: str, p50: float, half_width: float | None, size: int, minimum: float = 1.0) -> Measurement:
    """A measurement with this idle p50 and half-width of its 95% CI in microseconds, of an artifact of `size` bytes."""
    row = measurement(f"model.{quantization}.tflite", [[np.full(100, int(1000 * p50))]], size)
    interval = None if half_width is None else Interval(p50 - half_width, p50 + half_width)
    observed = replace(row.latency.observed, minimum=minimum)
    return replace(row, latency=Latency(replace(row.latency.idle, p50=p50, p50_interval=interval), observed))


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


def test_artifact_of_unknown_latency_is_never_tied(verified: VerifyReport, tmp_path: Path, mnistkit: Cli) -> None:
    """A row without a CI once tied with every other, and as the smallest was recommended, though it was not fast."""
    dynamic, int8 = with_p50("dynamic", 18.5, 0.1, 300), with_p50("int8", 28.0, None, 100, minimum=18.0)
    report = bench_report(dynamic, int8)
    result = recommend(verified, report, Limits())
    assert (result.tied, result.unknown, result.recommended) == ((0,), (1,), None)
    records.write(tmp_path / "verify.json", verified)
    records.write(tmp_path / "bench.json", report)
    told = mnistkit("recommend", tmp_path / "verify.json", tmp_path / "bench.json")
    assert told.code == 3
    assert "cannot tell which is the fastest: too few idle samples of model.int8.tflite on litert" in told.out
    slower = with_p50("int8", 28.0, None, 100, minimum=19.0)  # no inference was as fast as the p50 of the other
    assert recommend(verified, bench_report(dynamic, slower), Limits()).recommended == 0


candidates = st.tuples(st.floats(10, 20), st.none() | st.floats(0, 5), st.integers(1, 5), st.floats(5, 10))


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(candidates, min_size=1, max_size=4), failing=st.sets(st.integers(0, 3)))
def test_no_passing_artifact_is_measurably_faster_than_the_recommended_one(
    verified: VerifyReport, rows: list[tuple[float, float | None, int, float]], failing: set[int]
) -> None:
    quantizations = "float32", "float16", "dynamic", "int8"
    measured = [with_p50(name, *row) for name, row in zip(quantizations, rows, strict=False)]
    parities = [
        replace(row, parity=replace(row.parity, verdict="FAIL" if number in failing else "PASS"))
        for number, row in enumerate(verified.rows)
    ]
    result = recommend(replace(verified, rows=tuple(parities)), bench_report(*measured), Limits())
    passing = [candidate for candidate in result.candidates if not candidate.rejection_reason]
    if result.recommended is None:
        assert result.unknown or not passing
        return
    recommended = result.candidates[result.recommended]
    assert not recommended.rejection_reason
    assert recommended.interval
    for other in passing:
        fastest = other.interval.high if other.interval else math.inf
        assert recommended.interval.low <= fastest
        assert other.lower_bound > recommended.interval.low or other.interval


def test_artifact_beyond_a_limit_is_rejected_with_the_reason(verified: VerifyReport) -> None:
    report = bench_report(with_p50("dynamic", 20, 1, 300), with_p50("int8", 30, 1, 100))
    result = recommend(verified, report, Limits(max_size=200))
    assert result.recommended == 1
    assert result.candidates[0].rejection_reason == "size over 200 bytes"
    result = recommend(verified, report, Limits(max_latency=10))
    assert (result.recommended, result.tied) == (None, ())
    assert all("time over 10 µs" in candidate.rejection_reason for candidate in result.candidates)


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


@pytest.mark.usefixtures("idle_machine")
def test_recommend_prints_the_recommended_artifact(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    verify, bench = tmp_path / "verify.json", tmp_path / "bench.json"
    assert mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", verify).code == 0
    options = "--runtime", "litert", "--seconds", 0.3, "--processes", 2
    assert mnistkit("bench", workspace / "bundle", *options, "--json", bench).code == 0
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
