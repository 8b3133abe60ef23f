"""Has boards do something, and gathers what they bring home."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mnistkit.bench_report import BenchReport
from mnistkit.bundle import Bundle
from mnistkit.core import files, records
from mnistkit.core.errors import MnistkitError, RecordError, StorageError
from mnistkit.core.packages import installed_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.fleet import inventory, last_run, playbook, wheel
from mnistkit.fleet.inventory import Boards
from mnistkit.fleet.report import Action, FleetReport, Host, spread
from mnistkit.runtimes import RUNTIMES, runtime_versions
from mnistkit.verify import predictions
from mnistkit.verify.predictions import Predictions
from mnistkit.verify.report import compare, evaluate

SENT_ANOTHER = "run it again, and nothing else on that board meanwhile"
DOING = {"deploy": "preparing", "verify": "verifying on", "bench": "measuring on"}


@dataclass(frozen=True)
class Fleet:
    """Which boards, what they are given, and where what they bring home is kept."""

    boards: Boards
    wheel: Path | None = None  # None: it is made from what runs here
    wheelhouse: Path | None = None  # a folder of wheels; None: pip there asks its own index
    results_dir: Path | None = None


@dataclass(frozen=True)
class VerifyOptions:
    """Which images `verify` asks, and the margin that it judges at."""

    limit: int | None
    seed: int
    margin: float


Read = Callable[[Host, Path], Host]  # adds to a board what it brought home into that folder


def deploy(bundle: Bundle, fleet: Fleet, progress: Progress = SILENT) -> FleetReport:
    """Bring the bundle and mnistkit to the boards; what is there already is left alone.

    Raises MissingExtraError without Ansible, OptionError, StorageError or FleetError where no board can be asked. A
    board that fails is told in the report.
    """
    return _report("deploy", bundle, _run("deploy", bundle, fleet, [], lambda host, folder: host, progress))


def verify(
    bundle: Bundle, fleet: Fleet, runtimes: tuple[str, ...], sample: VerifyOptions, progress: Progress = SILENT
) -> FleetReport:
    """Have the boards answer the test set, judge their answers here, and hold them against this machine's own.

    Deploys first, and raises as that does.
    """
    answers: dict[str, Predictions] = {}

    def read(host: Host, folder: Path) -> Host:
        found = predictions.load(folder / "predictions.npz")
        _check_same(found.record.bundle_sha256, bundle)
        answers[host.host] = found
        return replace(host, verify=evaluate(found, sample.margin))

    limit = [] if sample.limit is None else ["--limit", str(sample.limit)]
    options = [*_named(runtimes), *limit, "--seed", str(sample.seed), "--margin", str(sample.margin)]
    hosts = _run("verify", bundle, fleet, options, read, progress)
    own, why_not = _own_answers(bundle, answers.values(), sample, progress)
    if own:
        hosts = [_compared(host, own, answers.get(host.host), sample.margin) for host in hosts]
    return _report("verify", bundle, hosts, why_not)


def bench(
    bundle: Bundle,
    fleet: Fleet,
    runtimes: tuple[str, ...],
    arguments: list[str],
    progress: Progress = SILENT,
) -> FleetReport:
    """Measure the bundle on the boards, with these arguments of `mnistkit bench`. Deploys first; raises as that does."""

    def read(host: Host, folder: Path) -> Host:
        found = records.read(folder / "bench.json", BenchReport, SENT_ANOTHER)
        _check_same(found.bundle_sha256, bundle)
        return replace(host, bench=found.without_raw_samples())

    return _report("bench", bundle, _run("bench", bundle, fleet, [*_named(runtimes), *arguments], read, progress))


def _run(
    action: Action, bundle: Bundle, fleet: Fleet, options: list[str], read: Read, progress: Progress
) -> list[Host]:
    playbook.require()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = fleet.results_dir.resolve() if fleet.results_dir else folder / "results"
        hosts = inventory.arguments(fleet.boards, folder, last_run.load_last_run())
        play = playbook.PlaybookRun(
            hosts, _variables(action, bundle, fleet, options, folder) | _places(results, folder), folder
        )
        try:
            play.run(DOING[action], progress)
        finally:  # where it was broken off, what is left to do is known too
            found = [_host(host, outcome) for host, outcome in play.outcomes.items()]
            if found:
                last_run.save_last_run(tuple(host.host for host in found if host.status != "ok"))
        found = [_read(host, results / host.host, read) for host in found]
        last_run.save_last_run(tuple(host.host for host in found if host.status != "ok"))
    return found


def _variables(
    action: Action, bundle: Bundle, fleet: Fleet, options: list[str], folder: Path
) -> dict[str, str | list[str]]:
    """What the playbook is told; roles/board/defaults/main.yml explains it."""
    if fleet.wheel:
        files.check_readable(fleet.wheel)
    if fleet.wheelhouse and not any(fleet.wheelhouse.glob("*.whl")):
        raise StorageError(f"{fleet.wheelhouse} holds no wheel", "fill it with 'mnistkit wheelhouse'")
    sent = fleet.wheel.resolve() if fleet.wheel else wheel.build(folder)
    found: dict[str, str | list[str]] = {
        "mnistkit_run": action,
        "mnistkit_options": options,
        "mnistkit_bundle": str(bundle.path.resolve()),
        "mnistkit_wheel": str(sent),
        "mnistkit_wheelhouse": str(fleet.wheelhouse.resolve()) if fleet.wheelhouse else "",
    }
    if not fleet.results_dir and action == "verify":  # its verdict is given here
        found["mnistkit_files"] = ["predictions.npz"]
    return found


def _places(results: Path, folder: Path) -> dict[str, str | list[str]]:
    return {"mnistkit_results": str(results), "mnistkit_packed": str(folder / "packed")}


def _host(name: str, outcome: playbook.HostOutcome) -> Host:
    return Host(
        host=name,
        status=outcome.status or "failed",
        problem=outcome.problem,
        remedy=outcome.remedy,
        seconds=round(outcome.seconds, 1),
        changed=tuple(outcome.changed),
    )


def _read(host: Host, folder: Path, read: Read) -> Host:
    """With what it brought home; failed, where that is broken."""
    if host.status != "ok":
        return host
    try:
        return read(host, folder)
    except MnistkitError as error:
        return replace(host, status="failed", problem=error.problem, remedy=error.remedy)


def _check_same(sha256: str, bundle: Bundle) -> None:
    if sha256 != bundle.manifest_sha256:
        raise RecordError("it brought home the result of another bundle", SENT_ANOTHER)


def _own_answers(
    bundle: Bundle, answers: Iterable[Predictions], sample: VerifyOptions, progress: Progress
) -> tuple[Predictions | None, str]:
    """What this machine answers on the runtimes that boards have used; or why it can't."""
    used = {row.runtime for found in answers for row in found.record.rows}
    if not used:
        return None, "no board gave an answer"
    here = tuple(name for name in RUNTIMES if name in used and RUNTIMES[name].installed())
    if not here:
        lacking = next(RUNTIMES[name] for name in RUNTIMES if name in used)
        return None, f"{lacking.name} is not installed here; {lacking.install_command}"
    with progress.task("answering here, to compare"):
        return predictions.run_artifacts(bundle, bundle.evaluation_set(), here, sample.limit, sample.seed), ""


def _compared(host: Host, own: Predictions, answers: Predictions | None, margin: float) -> Host:
    if answers is None:
        return host
    try:
        return replace(host, comparison=compare(own, answers, margin))
    except RecordError:  # they have no artifact in common
        return host


def _named(runtimes: tuple[str, ...]) -> list[str]:
    return [word for name in runtimes for word in ("--runtime", name)]


def _report(action: Action, bundle: Bundle, hosts: list[Host], not_compared: str = "") -> FleetReport:
    return FleetReport(
        action=action,
        bundle_sha256=bundle.manifest_sha256,
        hosts=tuple(hosts),
        spread=spread(hosts),
        not_compared=not_compared,
        versions=runtime_versions() | installed_versions("ansible-core"),
    )
