"""What this machine is, which runtimes work on it, and what would mend the rest. Needs neither numpy nor rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from mnistkit.core import records
from mnistkit.core.errors import WorkerError
from mnistkit.core.packages import installed_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.device import wheels
from mnistkit.device.machine import Machine, MachineState, read_state, this_machine, throttling
from mnistkit.device.wheels import WheelPlatform
from mnistkit.runtimes import RUNTIMES, Runtime, isolation, runtime_versions

USUAL_PAGE = 4096  # bytes
PERFORMANCE = "performance"
COOL = "cool the board, with a fan or a heat sink"
THROTTLING_REMEDIES = {"under-voltage": "use the board's own power supply and a short cable"}

Severity = Literal["problem", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    severity: Severity  # a problem: something does not work
    what: str
    remedy: str


@dataclass(frozen=True)
class RuntimeStatus:
    """What was found of a runtime."""

    runtime: str
    format: str  # of the artifacts that it takes
    installed: str  # its version, or ""
    loads: bool
    wheel: str  # the newest version with a wheel for this machine, or ""
    reason: str  # why it doesn't load, or why there's no wheel
    remedy: str


@dataclass(frozen=True)
class DoctorReport(records.Record):
    """All of it."""

    schema: ClassVar[str] = "doctor"
    version: ClassVar[int] = 1

    machine: Machine
    state: MachineState
    runtimes: tuple[RuntimeStatus, ...]
    findings: tuple[Finding, ...]
    versions: dict[str, str]

    @property
    def has_problem(self) -> bool:
        """Whether something does not work."""
        return any(finding.severity == "problem" for finding in self.findings)


def run_checks(progress: Progress = SILENT) -> DoctorReport:
    """Look at this machine, and load each runtime that is installed in a process of its own."""
    machine, now, place = this_machine(), read_state(), wheels.this_platform()
    with progress.task("loading the runtimes", len(RUNTIMES)) as advance:
        checked = tuple(_runtime_status(runtime, place, advance) for runtime in RUNTIMES.values())
    findings = *_of_machine(machine, place), *_of_state(machine, now), *_of_runtimes(checked, machine)
    return DoctorReport(machine, now, checked, findings, runtime_versions())


def _runtime_status(runtime: Runtime, place: WheelPlatform, advance: Callable[[float], None]) -> RuntimeStatus:
    wheel = wheels.find(runtime.distribution, place)
    installed = runtime.installed()
    reason = remedy = ""
    try:
        if installed:
            isolation.load(runtime)
        elif not wheel:
            reason = wheels.explain_missing(runtime.distribution, place)
    except WorkerError as error:
        reason, remedy = error.problem, error.remedy
    advance(1)
    return RuntimeStatus(
        runtime=runtime.name,
        format=runtime.format,
        installed=installed_versions(runtime.distribution).get(runtime.distribution, "unknown") if installed else "",
        loads=installed and not reason,
        wheel=wheel.version if wheel else "",
        reason=reason,
        remedy=remedy or ("" if installed or not wheel else runtime.install_command),
    )


def _of_machine(machine: Machine, place: WheelPlatform) -> Iterator[Finding]:
    if machine.bits == 32 and place.architecture == "armv7l":
        what = "this is a 32-bit userland, for which tflite-runtime under Python 3.11 is the only runtime"
        yield Finding("warning", what, "install the 64-bit Raspberry Pi OS for the others")
    if not place.glibc:
        yield Finding(
            "problem", "no runtime has a wheel for this C library, which is not glibc", "use Debian or Ubuntu"
        )
    if machine.emulated:
        what = "this processor is emulated: what is right here is right on a device, and times mean nothing"
        yield Finding("warning", what, "measure on the device")
    slow = [governor for governor in machine.governors if governor != PERFORMANCE]
    if slow:
        what = f"the governor is {', '.join(slow)}: the clock moves, and so does every latency"
        remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("warning", what, remedy)


def _of_state(machine: Machine, now: MachineState) -> Iterator[Finding]:
    held, since = throttling(now.throttled or 0)
    for name in held:
        yield Finding("problem", f"the board is held back: {name}", THROTTLING_REMEDIES.get(name, COOL))
    for name in set(since) - set(held):
        what = f"the board has been held back since it was started: {name}"
        yield Finding("warning", what, THROTTLING_REMEDIES.get(name, COOL))
    if now.load > machine.cores:
        yield Finding("warning", f"the load is {now.load:g} on {machine.cores} cores", "stop what else runs")


def _of_runtimes(checked: tuple[RuntimeStatus, ...], machine: Machine) -> Iterator[Finding]:
    for found in checked:
        if found.installed and not found.loads:
            yield Finding("problem", f"{found.runtime} {found.installed} does not load: {found.reason}", found.remedy)
    if machine.page_size != USUAL_PAGE and any(found.installed and not found.loads for found in checked):
        what = f"pages have {machine.page_size:,} bytes here, and some wheels are built for {USUAL_PAGE:,}"
        yield Finding(
            "warning", what, "put kernel=kernel8.img into /boot/firmware/config.txt, and start the board again"
        )
    missing = [name for name in dict.fromkeys(found.format for found in checked) if not _runs(name, checked)]
    for name in missing:
        severity: Severity = "problem" if len(missing) > 1 else "warning"
        yield Finding(severity, f"nothing here runs .{name} artifacts", _remedy(name, checked))


def _runs(format: str, checked: tuple[RuntimeStatus, ...]) -> bool:
    return any(found.loads for found in checked if found.format == format)


def _remedy(format: str, checked: tuple[RuntimeStatus, ...]) -> str:
    """The command that brings a runtime for that format, or why there is none."""
    of_format = [found for found in checked if found.format == format]
    able = [found.remedy for found in of_format if found.wheel and found.remedy]
    return next(iter(able), None) or f"another Python or system: {of_format[0].runtime} has {of_format[0].reason}"
