"""Runs an action on boards and collects their results."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mnistkit.bench_report import BenchReport
from mnistkit.bundle import Bundle
from mnistkit.core import files, records
from mnistkit.core.errors import CompilerError, MnistkitError, RecordError, StorageError, UntrustedCodeError
from mnistkit.core.packages import installed_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.fleet import inventory, last_run, playbook, wheel
from mnistkit.fleet.inventory import Fleet
from mnistkit.fleet.report import Action, FleetReport, Host, family, spread, with_holm
from mnistkit.runtimes import RUNTIMES, runtime_versions, trust
from mnistkit.verify import predictions
from mnistkit.verify.parity import Limits
from mnistkit.verify.predictions import Predictions
from mnistkit.verify.report import compare_predictions, evaluate

RUN_AGAIN = "run again, with no other run on that board at the same time"
ACTIVITIES = {"deploy": "deploying to", "verify": "verifying on", "bench": "measuring on"}


@dataclass(frozen=True)
class VerifyOptions:
    """The sample of images to verify, and what the artifacts must keep."""

    limit: int | None
    seed: int
    limits: Limits
    holm: bool  # over all artifacts and boards


ReadResult = Callable[[Host, Path], Host]  # adds the result files in a folder to a board


def deploy(bundle: Bundle, fleet: Fleet, progress: Progress = SILENT) -> FleetReport:
    """Install the bundle and mnistkit on the boards. What is already installed is left unchanged.

    Raises MissingExtraError if Ansible is not installed, OptionError, StorageError or FleetError if the run can't
    start. A board that fails is reported in the result.
    """
    return _report("deploy", bundle, _run("deploy", bundle, fleet, [], lambda host, folder: host, progress))


def verify(
    bundle: Bundle, fleet: Fleet, runtimes: tuple[str, ...], settings: VerifyOptions, progress: Progress = SILENT
) -> FleetReport:
    """Run the bundle on the boards, evaluate their predictions here, and compare them with this machine's.

    Deploys the bundle first, and raises the same errors as `deploy`.
    """
    from_boards: dict[str, Predictions] = {}

    def read(host: Host, folder: Path) -> Host:
        loaded = predictions.load(folder / "predictions.npz")
        _check_bundle(loaded.record.bundle_sha256, bundle)
        from_boards[host.host] = loaded
        return replace(host, verify=evaluate(loaded, settings.limits))

    limit = [] if settings.limit is None else ["--limit", str(settings.limit)]
    options = [
        *_run_options(bundle, runtimes),
        *limit,
        "--seed",
        str(settings.seed),
        "--margin",
        str(settings.limits.margin),
    ]
    hosts = _run("verify", bundle, fleet, options, read, progress)
    if settings.holm:
        hosts = with_holm(hosts, settings.limits.margin)
    local, not_compared = _local_predictions(bundle, from_boards.values(), settings, progress)
    if local:
        hosts = [_compared(host, local, from_boards.get(host.host), settings.limits.margin) for host in hosts]
    return _report("verify", bundle, hosts, not_compared, holm=settings.holm)


def bench(
    bundle: Bundle, fleet: Fleet, runtimes: tuple[str, ...], arguments: list[str], progress: Progress = SILENT
) -> FleetReport:
    """Measure the bundle on the boards, with these arguments of `mnistkit bench`.

    Deploys the bundle first, and raises the same errors as `deploy`.
    """

    def read(host: Host, folder: Path) -> Host:
        report = records.read(folder / "bench.json", BenchReport, RUN_AGAIN)
        _check_bundle(report.bundle_sha256, bundle)
        return replace(host, bench=report.without_raw_samples())

    options = [*_run_options(bundle, runtimes), *arguments]
    return _report("bench", bundle, _run("bench", bundle, fleet, options, read, progress))


def _run(
    action: Action, bundle: Bundle, fleet: Fleet, options: list[str], read: ReadResult, progress: Progress
) -> list[Host]:
    playbook.require()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = fleet.results_dir.resolve() if fleet.results_dir else folder / "results"
        selection = inventory.arguments(fleet, folder, last_run.load_last_run())
        variables: dict[str, str | list[str]] = {  # documented in roles/board/defaults/main.yml
            "mnistkit_action": action,
            "mnistkit_options": options,
            "mnistkit_bundle": str(bundle.path.resolve()),
            **_wheel_variables(fleet, folder),
            "mnistkit_results": str(results),
            "mnistkit_archives": str(folder / "archives"),
        }
        if action == "verify" and not fleet.results_dir:  # this machine evaluates the predictions itself
            variables["mnistkit_result_files"] = ["predictions.npz"]
        run = playbook.PlaybookRun(selection, variables, folder)
        try:
            run.run(ACTIVITIES[action], progress)
        finally:  # after an interrupt, @failed selects the boards that were not finished
            hosts = [_host(host, outcome) for host, outcome in run.outcomes.items()]
            _save_failed(hosts)
        hosts = [_with_result(host, results / host.host, read) for host in hosts]
        _save_failed(hosts)
    return hosts


def _save_failed(hosts: list[Host]) -> None:
    if hosts:
        last_run.save_last_run(tuple(host.host for host in hosts if host.status != "ok"))


def _wheel_variables(fleet: Fleet, folder: Path) -> dict[str, str]:
    """The playbook's variables for the wheels; builds mnistkit's wheel in `folder` if none is given."""
    if fleet.wheel:
        files.check_readable(fleet.wheel)
    if fleet.wheelhouse and not any(fleet.wheelhouse.glob("*.whl")):
        raise StorageError(f"no wheels in {fleet.wheelhouse}", "download them with 'mnistkit wheelhouse'")
    return {
        "mnistkit_wheel": str(fleet.wheel.resolve() if fleet.wheel else wheel.build(folder)),
        "mnistkit_wheelhouse": str(fleet.wheelhouse.resolve()) if fleet.wheelhouse else "",
    }


def _host(name: str, outcome: playbook.HostOutcome) -> Host:
    return Host(
        host=name,
        status=outcome.status or "failed",
        problem=outcome.problem,
        remedy=outcome.remedy,
        seconds=round(outcome.seconds, 1),
        changed=tuple(outcome.changed),
    )


def _with_result(host: Host, folder: Path, read: ReadResult) -> Host:
    """The board with its results; failed if its result files are invalid."""
    if host.status != "ok":
        return host
    try:
        return read(host, folder)
    except MnistkitError as error:
        return replace(host, status="failed", problem=error.problem, remedy=error.remedy)


def _check_bundle(sha256: str, bundle: Bundle) -> None:
    if sha256 != bundle.manifest_sha256:
        raise RecordError("the result is from another bundle", RUN_AGAIN)


def _local_predictions(
    bundle: Bundle, from_boards: Iterable[Predictions], settings: VerifyOptions, progress: Progress
) -> tuple[Predictions | None, str]:
    """This machine's predictions on the runtimes that the boards used; None and the reason if there are none."""
    used = {row.runtime for board in from_boards for row in board.record.rows}
    runtimes = [runtime for name, runtime in RUNTIMES.items() if name in used]
    if not runtimes:
        return None, "no board returned predictions"
    installed = tuple(runtime.name for runtime in runtimes if runtime.installed())
    if not installed:
        return None, f"{runtimes[0].name} is not installed on this machine; {runtimes[0].install_command}"
    with progress.task("verifying on this machine, to compare"):
        images = bundle.evaluation_set()
        try:
            return predictions.run_artifacts(bundle, images, installed, settings.limit, settings.seed), ""
        except (CompilerError, UntrustedCodeError) as error:  # the boards ran nothing but C
            return None, str(error)


def _compared(host: Host, local: Predictions, from_board: Predictions | None, margin: float) -> Host:
    if from_board is None:
        return host
    try:
        return replace(host, comparison=compare_predictions(local, from_board, margin))
    except RecordError:  # they have no artifact in common
        return host


def _run_options(bundle: Bundle, runtimes: tuple[str, ...]) -> list[str]:
    """The options of `verify` and `bench` for runtimes, and for code that this machine trusts."""
    code = bundle.manifest.code()
    trusted = bool(code) and (bundle.trust_code or all(trust.is_trusted(file.sha256) for file in code))
    options = [argument for name in runtimes for argument in ("--runtime", name)]
    return [*options, *(["--trust-code"] if trusted else [])]


def _report(
    action: Action, bundle: Bundle, hosts: list[Host], not_compared: str = "", *, holm: bool = False
) -> FleetReport:
    return FleetReport(
        action=action,
        bundle_sha256=bundle.manifest_sha256,
        hosts=tuple(hosts),
        spread=spread(hosts),
        family=family(hosts, holm=holm),
        not_compared=not_compared,
        versions=runtime_versions() | installed_versions("ansible-core"),
    )
