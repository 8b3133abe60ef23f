"""`mnistkit bench`: real workers, real artifacts; what it says, not how fast it was."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import BRIEFLY, Cli

from mnistkit.bench_report import BenchReport, Measurement, RawSamples
from mnistkit.bundle import open_bundle
from mnistkit.core import files, records
from mnistkit.core.errors import BenchError, RecordError
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine, MachineState
from mnistkit.verify.report import VerifyReport
from mnistkit_bench import comparison, jobs, reliability, samples, statistics, tables
from mnistkit_bench.recommendation import Limits, recommend


@pytest.fixture
def whatever_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has all times count, so that nothing hangs on how busy this machine is."""
    monkeypatch.setattr(samples, "PROBE_TOLERANCE", 1e6)


@pytest.mark.usefixtures("whatever_else_runs")
def test_every_artifact_is_measured(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    outcome = mnistkit(
        "bench", workspace / "bundle", "--seconds", 0.2, "--processes", 2, "--json", tmp_path / "bench.json"
    )
    assert outcome.code == 0
    report = records.read(tmp_path / "bench.json", BenchReport, "")
    assert report.bundle_sha256 == files.sha256_of(workspace / "bundle" / "manifest.json")
    assert len(report.measurements) == 7
    for row in report.measurements:
        assert row.artifact in outcome.out
        assert row.bytes == (workspace / "bundle" / row.artifact).stat().st_size
        latency = row.latency
        assert latency.p90 is not None
        assert 0 < latency.minimum <= latency.p50 <= latency.p90 <= latency.maximum
        assert latency.samples >= 2
        assert min(row.import_ms, row.load_ms, row.first_ms) > 0
        kept, share = samples.accepted(samples.unpack(row.raw))
        assert sum(map(len, chain(*kept))) == latency.samples
        assert share == pytest.approx(row.accepted_fraction, abs=1e-4)
        assert np.median(np.concatenate([*chain(*kept)])) / 1000 == pytest.approx(latency.p50, abs=1e-3)
        assert row.end_to_end.minimum > 0
        assert row.peak_bytes >= row.resident_bytes > 10**6
        assert row.package_bytes > 10**6
    assert report.machine.cores >= 1
    assert len(report.states) >= 2
    assert report.failures == ()


def test_a_runtime_can_be_chosen(mnistkit: Cli, workspace: Path) -> None:
    arguments = (
        "bench",
        workspace / "bundle",
        "--runtime",
        "onnxruntime",
        *BRIEFLY,
        "--json",
        "-",
    )
    rows = json.loads(mnistkit(*arguments).out)["measurements"]
    assert [row["artifact"] for row in rows] == ["model.float32.onnx", "model.dynamic.onnx", "model.int8.onnx"]


def test_no_worker_imports_tensorflow(workspace: Path) -> None:
    import subprocess

    opened = open_bundle(workspace / "bundle")
    code = "import sys\nfrom mnistkit_bench import worker\nworker.main()\nassert 'tensorflow' not in sys.modules\n"
    for artifact, name in zip(opened.manifest.artifacts[3:5], ("litert", "onnxruntime"), strict=True):
        job = {"artifact": str(opened.file(artifact)), "runtime": name, "threads": 1}
        job["test_set"] = str(opened.path / "testset.npz")
        request = {"what": "latency", "seconds": 0}
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=f"{json.dumps(job)}\n{json.dumps(request)}\n",
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout.splitlines()[1])
        assert (len(answer["batches"]), len(answer["yardsticks"])) == (1, 2)


@pytest.mark.usefixtures("whatever_else_runs")
def test_threads_are_swept_and_samples_counted(mnistkit: Cli, workspace: Path) -> None:
    arguments = ("--runtime", "litert", "--threads", "1,2", "--samples", 400, "--processes", 2, "--json", "-")
    rows = json.loads(mnistkit("bench", workspace / "bundle", *arguments).out)["measurements"]
    assert [row["threads"] for row in rows] == [1, 2] * 4
    assert min(row["latency"]["samples"] for row in rows) >= 400
    assert all(row["latency"]["p50_interval"] for row in rows)
    table = mnistkit("bench", workspace / "bundle", "--runtime", "onnxruntime", "--threads", 2, *BRIEFLY).out
    assert "threads" in table


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threads", "0"), ("--threads", "1,x"), ("--threads", ""), ("--fail-over", "x"), ("--fail-over", "-5%")],
)
def test_what_is_no_number_is_refused(mnistkit: Cli, workspace: Path, option: str, value: str) -> None:
    outcome = mnistkit("bench", workspace / "bundle", option, value)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1


def test_a_result_is_replaced_only_by_force(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("mine")
    arguments = (
        "bench",
        workspace / "bundle",
        "--runtime",
        "litert",
        *BRIEFLY,
        "--json",
        path,
    )
    outcome = mnistkit(*arguments)
    assert outcome.code == 2
    assert "there already; choose another name, or say --force" in outcome.err
    assert path.read_text() == "mine"
    assert mnistkit(*arguments, "--force").code == 0
    assert records.read(path, BenchReport, "").measurements


# --- workers that fail ------------------------------------------------------------------------------------------

WORKER = """
import os, signal
from mnistkit.runtimes import onnx
from mnistkit_bench import worker
real = onnx.open_session
onnx.open_session = lambda *arguments: {spoil} if arguments[1].name == "model.int8.onnx" else real(*arguments)
worker.main()
"""
BROKEN_WORKERS = {
    "dies": ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
    "stops": ("os._exit(3)", "stopped with exit code 3"),
    "hangs": ("signal.pause()", "gave no answer in 10 s"),
    "babbles": (
        "[os.write(number, b'hello\\n') for number in range(3, 9) if os.path.exists(f'/dev/fd/{number}')]",
        "answered",
    ),
    "answers nothing": (
        "setattr(worker, '_yardstick', int) or real(*arguments)",
        "answered nonsense, no times",
    ),
    "answers other things": (
        "setattr(worker, '_memory', dict) or real(*arguments)",
        "answered nonsense: resident_bytes",
    ),
    "fails": ("1 / 0", "failed: onnxruntime can't load it: division by zero"),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN_WORKERS.values(), ids=BROKEN_WORKERS.keys())
def test_a_broken_worker_is_a_failed_row_and_the_rest_goes_on(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, message: str
) -> None:
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{WORKER.replace('{spoil}', spoil)}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    if message.endswith("10 s"):
        monkeypatch.setattr(jobs, "TIMEOUT_SECONDS", 10)
    outcome = mnistkit("bench", workspace / "bundle", *BRIEFLY, "--json", tmp_path / "bench.json")
    assert outcome.code == 1
    report = records.read(tmp_path / "bench.json", BenchReport, "")
    assert len(report.measurements) == 6
    (failure,) = report.failures
    assert (failure.artifact, failure.runtime, failure.skipped) == ("model.int8.onnx", "onnxruntime", False)
    assert message in failure.problem
    assert "failed: model.int8.onnx on onnxruntime" in outcome.out


def test_a_missing_runtime_is_a_skipped_row_that_names_the_extra(
    mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    outcome = mnistkit("bench", workspace / "bundle", *BRIEFLY, "--json", "-")
    assert outcome.code == 0
    failures = json.loads(outcome.out)["failures"]
    assert [(row["runtime"], row["skipped"], row["remedy"]) for row in failures] == [
        ("onnxruntime", True, "pip install 'mnistkit[device]'")
    ] * 3


def test_an_emulated_processor_is_refused(mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated = Machine("Cortex-A76", 4, "aarch64", "Linux", emulated=True)
    monkeypatch.setattr("mnistkit_bench.runner.this_machine", lambda: emulated)
    outcome = mnistkit("bench", workspace / "bundle")
    assert outcome.code == 2
    assert "emulated" in outcome.err


# --- statistics -------------------------------------------------------------------------------------------------

rounds_of_times = st.lists(st.lists(st.integers(1, 10**12), min_size=1, max_size=50), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(rounds_of_times)
def test_figures_are_numpys(found: list[list[int]]) -> None:
    latency = statistics.summarize([[np.array(each)] for each in found])
    times = np.concatenate(found) / 1000
    figures = (latency.minimum, 0), (latency.p50, 50), (latency.p90, 90), (latency.p99, 99), (latency.maximum, 100)
    for figure, quantile in figures:
        if figure is not None:
            assert figure == pytest.approx(np.percentile(times, quantile), abs=1e-3, rel=1e-9)
    assert latency.samples == len(times)
    assert latency.mean == pytest.approx(times.mean(), abs=1e-3)
    assert (latency.p90 is None) == (len(times) < 100)
    assert latency.p999 is None
    assert (latency.p50_interval is None) == (len(found) < statistics.MIN_ROUNDS)


def test_a_percentile_needs_samples_beyond_it() -> None:
    assert [statistics.min_samples(percentile) for percentile in (50, 90, 99, 99.9)] == [20, 100, 1000, 10_000]
    assert statistics.summarize([[np.full(9999, 5)]]).p999 is None
    assert statistics.summarize([[np.full(10_000, 5)]]).p999 == 0.005


def drifting(random: np.random.Generator, scale: float = 1.0) -> samples.Times:
    """Skewed times, each process and each of its rounds with a speed of its own."""
    processes = random.normal(1, 0.005, (4, 1)) + random.normal(0, 0.02, (4, 10))
    return [
        [(20_000 * scale * speed * random.lognormal(0, 0.1, 100)).astype(int) for speed in speeds]
        for speeds in processes
    ]


def test_the_interval_of_the_median_covers_it_in_19_of_20_though_rounds_and_processes_differ() -> None:
    random = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        interval = statistics.summarize(drifting(random)).p50_interval
        assert interval
        covered.append(interval.low <= 20.0 <= interval.high)
    assert np.mean(covered) >= 0.95


def test_two_runs_whose_processes_differ_are_told_to_be_alike_in_19_of_20() -> None:
    random = np.random.default_rng(5)
    intervals = [statistics.ratio(drifting(random), drifting(random))[1] for _ in range(400)]
    assert np.mean([each is not None and each.low <= 1 <= each.high for each in intervals]) >= 0.95


def accepted(processes: samples.Times, *probes: int) -> samples.Processes:
    """The times as rounds of batches of one time, between these yardsticks or such as nothing slowed."""
    return [
        [samples.Round(*map(np.array, (each, [1] * len(each), probes or [100] * (len(each) + 1)))) for each in process]
        for process in processes
    ]


def test_raw_times_come_back_from_few_bytes() -> None:
    times = drifting(np.random.default_rng(1))
    raw = samples.pack(accepted(times))
    back = samples.unpack(raw)
    assert [[each.times.tolist() for each in process] for process in back] == [
        [each.tolist() for each in process] for process in times
    ]
    assert all(set(each.probes) == {100} and set(each.batches) == {1} for each in chain(*back))
    assert len(raw.nanoseconds) < 4 * sum(map(len, chain(*times)))


@pytest.mark.parametrize("field", ["batches", "yardsticks", "nanoseconds"])
@pytest.mark.parametrize("text", ["", "%%", "AAAA", "eJwDAAAAAAE="])
def test_broken_raw_times_are_refused(field: str, text: str) -> None:
    raw = samples.pack(accepted([[np.array([5, 6, 7])]]))
    with pytest.raises(RecordError, match="measure again"):
        samples.unpack(RawSamples(**{**vars(raw), field: text}))


def test_what_was_measured_beside_a_slow_yardstick_does_not_count() -> None:
    found = accepted([[np.array([1, 2, 30, 40, 5])]], 100, 101, 104, 150, 102, 100)
    ((kept,),), share = samples.accepted(found)
    assert (kept.tolist(), share) == ([1, 2, 5], 0.6)
    ((kept,),), share = samples.accepted(accepted([[np.array([1, 2])]], 100, 200, 100))
    assert (kept.tolist(), share) == ([1, 2], 0)
    busy = accepted([[np.arange(1, 30)]], *[100] * 2, *[200] * 28)
    kept_processes, share = samples.accepted([*accepted([[np.array([1])]]), *busy])
    assert ([[each.tolist() for each in process] for process in kept_processes], share) == ([[[1]]], 1 / 30)
    calm = accepted([[np.array([1, 2])]], 100, 100, 100)
    kept_processes, share = samples.accepted([*calm, *accepted([[np.array([7, 8])]], 200, 200, 200)])
    assert ([[each.tolist() for each in process] for process in kept_processes], share) == ([[[1, 2]]], 0.5)


# --- comparing --------------------------------------------------------------------------------------------------

HERE = Machine("CPU", 2, "x86_64", "Linux")


def measured(artifact: str, times: samples.Times, size: int = 100) -> Measurement:
    latency, raw = statistics.summarize(times), samples.pack(accepted(times))
    return Measurement(artifact, "litert", 1, size, 0, 1.0, 1.0, 1.0, 1, 1, 0.1, 1.0, latency, latency, (), raw)


def reported(*rows: Measurement, machine: Machine = HERE) -> BenchReport:
    return BenchReport("b", machine, (), (), rows, (), {})


def test_a_planted_slowdown_of_10_percent_is_found_and_identical_runs_do_not_differ() -> None:
    random = np.random.default_rng(7)
    for _ in range(20):
        old, same = (reported(measured("a", drifting(random))) for _ in range(2))
        slow, fast = (reported(measured("a", drifting(random, scale))) for scale in (1.1, 1 / 1.1))
        changes = [comparison.compare_reports(old, new, 0.05).rows[0].change for new in (same, slow, fast)]
        assert changes == ["no measurable difference", "slower", "faster"]
        assert comparison.compare_reports(old, slow, 0.05).failed
        assert not comparison.compare_reports(old, slow, 0.20).failed
        assert not comparison.compare_reports(old, same, 0.05).failed


def test_too_few_rounds_are_no_pass() -> None:
    old = reported(measured("a", [[np.full(100, 20_000)] * 2] * 2))
    found = comparison.compare_reports(old, old, 0.05)
    assert (found.rows[0].change, found.failed) == ("too few rounds", True)


def test_an_interval_holds_the_median_though_times_are_tied() -> None:
    for times in ([20_000] * 60 + [40_000] * 40, [5000] * 100):
        latency = statistics.summarize([[np.array(times)] * 10] * 2)
        assert latency.p50_interval
        assert latency.p50_interval.low <= latency.p50 <= latency.p50_interval.high


def test_other_machines_are_compared_only_on_request(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    row = measured("model.int8.tflite", drifting(np.random.default_rng(1)))
    records.write(tmp_path / "old.json", reported(row, machine=replace(HERE, cpu="another")))
    arguments = (
        "bench",
        workspace / "bundle",
        "--runtime",
        "litert",
        *BRIEFLY,
        "--compare",
        tmp_path / "old.json",
    )
    outcome = mnistkit(*arguments)
    assert outcome.code == 2
    assert "cpu another and " in outcome.err
    assert "say --across-machines" in outcome.err
    outcome = mnistkit(*arguments, "--across-machines")
    assert outcome.code == 1
    assert "too few rounds" in outcome.out


@pytest.mark.parametrize(
    "raw",
    [
        RawSamples((1,), (3,), "", "", ""),
        RawSamples((1,), (10**30,), *["eJwDAAAAAAE="] * 3),
        RawSamples((), (), "", "", ""),
    ],
)
def test_what_was_measured_then_is_checked_before_anything_is_measured(
    mnistkit: Cli, workspace: Path, tmp_path: Path, raw: RawSamples
) -> None:
    row = replace(measured("model.int8.tflite", drifting(np.random.default_rng(1))), raw=raw)
    records.write(tmp_path / "old.json", reported(row))
    outcome = mnistkit("bench", workspace / "bundle", "--compare", tmp_path / "old.json", "--across-machines")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1


def test_less_than_is_repeatable_is_no_limit(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    records.write(tmp_path / "old.json", reported())
    arguments = ("--compare", tmp_path / "old.json", "--across-machines", "--fail-over", "1%")
    outcome = mnistkit("bench", workspace / "bundle", *arguments)
    assert outcome.code == 2
    assert "1% can't be told from what two runs of the same differ by; ask for 3% or more" in outcome.err


def test_what_is_no_longer_measured_is_told_and_nothing_in_common_fails() -> None:
    times = drifting(np.random.default_rng(1))
    old, new = reported(measured("a", times), measured("b", times)), reported(measured("b", times))
    found = comparison.compare_reports(old, new, 0.05)
    assert "measured then and not now: a on litert" in tables.comparison_remarks(found)
    assert comparison.compare_reports(reported(measured("a", times)), new, 0.05).failed


@pytest.mark.usefixtures("whatever_else_runs")
def test_a_regression_exits_1(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    arguments = ("bench", workspace / "bundle", "--runtime", "litert", "--seconds", 0.6, "--processes", 2)
    assert mnistkit(*arguments, "--json", path).code == 0
    old = records.read(path, BenchReport, "")
    for scale, code in ((10, 0), (0.1, 1)):  # far beyond what a busy machine wavers by
        rows = []
        for row in old.measurements:
            scaled = [
                [replace(each, times=(each.times * scale).astype(int)) for each in process]
                for process in samples.unpack(row.raw)
            ]
            latency = statistics.summarize(samples.accepted(scaled)[0])
            rows.append(replace(row, raw=samples.pack(scaled), latency=latency))
        records.write(path, replace(old, measurements=tuple(rows)))
        outcome = mnistkit(*arguments, "--compare", path, "--fail-over", "20%")
        assert outcome.code == code
        assert outcome.out.count("slower" if code else "faster") >= 4


# --- what spoils a measurement ----------------------------------------------------------------------------------


def test_throttling_a_moving_clock_and_other_programs_are_told() -> None:
    cool, hot = MachineState(2400, 50, 0.1, 0), MachineState(1500, 85, 0.1, 0x50005)
    assert reliability.machine_warnings([cool, cool], 0.1) == []
    assert reliability.machine_warnings([MachineState(None, None, 0.1, None)], 0) == []
    told = reliability.machine_warnings([cool, hot, cool], 0.5)
    assert told[0] == "the board was held back: throttled, under-voltage"
    assert "from 1,500 to 2,400 MHz" in told[1]
    assert "0.5 cores" in told[2]
    between, before = MachineState(2400, 80, 0.1, 0x40000), MachineState(2400, 80, 0.1, 0x40000)
    assert reliability.machine_warnings([cool, between], 0) == ["the board was held back: throttled"]
    assert reliability.machine_warnings([before, before], 0) == []


def test_a_row_that_wavers_is_told() -> None:
    random = np.random.default_rng(1)
    steady = statistics.summarize(drifting(random))
    assert reliability.measurement_warnings(steady, 1.0, steady=True) == []
    assert (
        "2 processes and 5 rounds"
        in reliability.measurement_warnings(statistics.summarize([[np.array([5, 6])]]), 1.0, steady=True)[0]
    )
    assert "steady" in reliability.measurement_warnings(steady, 1.0, steady=False)[0]
    assert "more than 95% of the time" in reliability.measurement_warnings(steady, 0, steady=True)[0]
    wavering = statistics.summarize([[np.full(50, 20_000)] * 10, [np.full(50, 40_000)] * 10])
    assert "p50 uncertain by more than ±3%" in reliability.measurement_warnings(wavering, 1.0, steady=True)[0]


def test_strict_exits_4_where_something_is_spoilt(
    mnistkit: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistkit_bench.monitor.read_state", lambda: MachineState(None, None, 0.1, 0x4))
    arguments = ("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY)
    outcome = mnistkit(*arguments, "--strict")
    assert outcome.code == 4
    assert "* the board was held back: throttled" in outcome.out
    assert mnistkit(*arguments).code == 0
    monkeypatch.setattr(reliability, "machine_warnings", lambda *_: [])
    monkeypatch.setattr(reliability, "measurement_warnings", lambda *_, **__: [])
    assert mnistkit(*arguments, "--strict").code == 0


# --- recommending -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def verified(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> VerifyReport:
    from mnistkit.cli import main

    path = tmp_path_factory.mktemp("verified") / "verify.json"
    assert main.run(["verify", str(workspace / "bundle"), "--runtime", "litert", "--json", str(path)]) == 0
    return replace(records.read(path, VerifyReport, ""), bundle_sha256="b")


def of(p50: float, width: float, name: str, size: int) -> Measurement:
    row = measured(f"model.{name}.tflite", [[np.full(100, int(1000 * p50))]], size)
    return replace(row, latency=replace(row.latency, p50_interval=Interval(p50 - width, p50 + width)))


def test_the_fastest_that_passes_is_recommended_and_a_tie_is_settled_by_size(verified: VerifyReport) -> None:
    rows = of(20, 1, "dynamic", 300), of(21, 0.5, "int8", 100), of(50, 1, "float32", 400), of(49, 1, "float16", 200)
    found = recommend(verified, reported(*rows), Limits())
    assert [candidate.artifact for candidate in found.candidates] == [
        f"model.{name}.tflite" for name in ("dynamic", "int8", "float16", "float32")
    ]
    assert (found.tied, found.chosen) == ((0, 1), 1)
    apart = recommend(verified, reported(of(20, 0.1, "dynamic", 300), *rows[1:]), Limits())
    assert (apart.tied, apart.chosen) == ((0,), 0)


def test_limits_rule_out_and_say_why(verified: VerifyReport) -> None:
    rows = of(20, 1, "dynamic", 300), of(30, 1, "int8", 100)
    found = recommend(verified, reported(*rows), Limits(max_size=200))
    assert found.chosen == 1
    assert found.candidates[0].ruled_out == "is larger than 200 bytes"
    found = recommend(verified, reported(*rows), Limits(max_latency=10))
    assert (found.chosen, found.tied) == (None, ())
    assert all("takes more than 10 µs" in candidate.ruled_out for candidate in found.candidates)


def test_what_did_not_pass_is_never_recommended(verified: VerifyReport) -> None:
    failed = tuple(replace(row, parity=replace(row.parity, verdict="FAIL")) for row in verified.rows[2:3])
    spoilt = replace(verified, rows=(*verified.rows[:2], *failed, verified.rows[3]))
    found = recommend(spoilt, reported(of(20, 1, "dynamic", 300), of(30, 1, "int8", 100)), Limits())
    assert found.chosen == 1
    assert found.candidates[0].ruled_out == "verify says FAIL"
    assert not found.candidates[0].pareto


def test_the_pareto_set_is_what_nothing_beats(verified: VerifyReport) -> None:
    parity = verified.rows[0].parity
    same = replace(verified, rows=tuple(replace(row, parity=parity) for row in verified.rows))
    rows = of(20, 1, "dynamic", 300), of(30, 1, "int8", 100), of(40, 1, "float16", 200)
    found = recommend(same, reported(*rows), Limits())
    assert [candidate.pareto for candidate in found.candidates] == [True, True, False]


def test_records_of_different_bundles_are_refused(verified: VerifyReport) -> None:
    with pytest.raises(BenchError, match="different bundles"):
        recommend(replace(verified, bundle_sha256="c"), reported(of(1, 1, "int8", 1)), Limits())


def test_the_command_says_what_to_ship(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    verify, bench = tmp_path / "verify.json", tmp_path / "bench.json"
    assert mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", verify).code == 0
    assert mnistkit("bench", workspace / "bundle", "--runtime", "litert", *BRIEFLY, "--json", bench).code == 0
    outcome = mnistkit("recommend", verify, bench)
    assert outcome.code == 0
    assert outcome.out.count("ship this") == 1
    assert outcome.out.splitlines()[-1].startswith("ship model.")
    assert mnistkit("recommend", verify, bench, "--json", bench).code == 2
    assert records.read(bench, BenchReport, "")
    outcome = mnistkit("recommend", verify, bench, "--max-size", 1)
    assert outcome.code == 1
    assert "ship nothing" in outcome.out
