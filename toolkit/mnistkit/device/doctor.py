"""Checks this machine: its hardware, its runtimes, and a remedy for each problem. Needs neither numpy nor rich."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mnistkit.core import records
from mnistkit.core.errors import MnistkitError, WorkerError
from mnistkit.core.packages import installed_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.device import wheels
from mnistkit.device.machine import Machine, MachineState, read_state, this_machine, throttling
from mnistkit.device.wheels import WheelPlatform
from mnistkit.runtimes import RUNTIMES, PackageRuntime, Runtime, isolation, runtime_versions
from mnistkit.runtimes.compiler import check_compiler, find_compiler

COMMON_PAGE_SIZE = 4096  # bytes
PERFORMANCE_COMMAND = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
COOLING = "cool the board with a fan or a heat sink"
THROTTLING_REMEDIES = {"under-voltage": "use the board's own power supply and a short cable"}

COMPILED = "c"  # the format that needs a compiler instead of a package

Severity = Literal["problem", "warning"]


@dataclass(frozen=True)
class Finding:
    """A fault of this machine, with its remedy."""

    severity: Severity  # problem: something does not work
    message: str
    remedy: str


@dataclass(frozen=True)
class RuntimeStatus:
    """The status of one runtime on this machine."""

    runtime: str
    format: str  # of the artifacts that it runs
    installed: str  # version, of the compiler in the case of C, or ""
    loads: bool
    wheel: str  # newest version with a wheel for this machine, or ""
    reason: str  # why it does not load, or why there is no wheel
    remedy: str


@dataclass(frozen=True)
class DoctorReport(records.Record, schema="doctor", version=1):
    """The result of `mnistkit doctor`."""

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
    """Check this machine, and load each installed runtime in a process of its own."""
    machine, state, target = this_machine(), read_state(), wheels.this_platform()
    with progress.task("loading the runtimes", len(RUNTIMES)) as advance:
        statuses = tuple(_runtime_status(runtime, target, advance) for runtime in RUNTIMES.values())
    findings = (
        *_machine_findings(machine, target),
        *_state_findings(machine, state),
        *_runtime_findings(statuses, machine),
    )
    return DoctorReport(machine, state, statuses, findings, runtime_versions())


def _runtime_status(runtime: Runtime, target: WheelPlatform, advance: Callable[[float], None]) -> RuntimeStatus:
    status = _package_status(runtime, target) if isinstance(runtime, PackageRuntime) else _compiler_status(runtime)
    advance(1)
    return status


def _package_status(runtime: PackageRuntime, target: WheelPlatform) -> RuntimeStatus:
    wheel = wheels.find(runtime.distribution, target)
    installed = runtime.installed()
    reason = remedy = ""
    if installed:
        try:
            isolation.load(runtime)
        except WorkerError as error:
            reason, remedy = error.problem, error.remedy
    elif wheel:
        remedy = runtime.install_command
    else:
        reason = wheels.explain_missing(runtime.distribution, target)
    return RuntimeStatus(
        runtime=runtime.name,
        format=runtime.format,
        installed=installed_versions(runtime.distribution).get(runtime.distribution, "unknown") if installed else "",
        loads=installed and not reason,
        wheel=wheel.version if wheel else "",
        reason=reason,
        remedy=remedy,
    )


def _compiler_status(runtime: Runtime) -> RuntimeStatus:
    version = reason = remedy = ""
    try:
        compiler = find_compiler()
        version = compiler.version
        check_compiler(compiler)
    except MnistkitError as error:
        reason, remedy = error.problem, error.remedy
    return RuntimeStatus(runtime.name, runtime.format, version, not reason, "", reason, remedy)


def _machine_findings(machine: Machine, target: WheelPlatform) -> Iterator[Finding]:
    if machine.bits == 32 and target.architecture == "armv7l":
        message = "the userland is 32-bit: tflite-runtime under Python 3.11 is the only runtime for it"
        yield Finding("warning", message, "install the 64-bit Raspberry Pi OS for the other runtimes")
    if not target.glibc:
        message = "the C library is not glibc: no runtime has a wheel for it"
        yield Finding("problem", message, "use Debian or Ubuntu")
    if machine.emulated:
        message = "this processor is emulated: predictions are valid, latencies are meaningless"
        yield Finding("warning", message, "measure on the device")
    governors = [governor for governor in machine.governors if governor != "performance"]
    if governors:
        message = f"the CPU governor is {', '.join(governors)}: the clock changes, and latencies with it"
        yield Finding("warning", message, PERFORMANCE_COMMAND)


def _state_findings(machine: Machine, state: MachineState) -> Iterator[Finding]:
    current, occurred = throttling(state.throttled or 0)
    for condition in current:
        remedy = THROTTLING_REMEDIES.get(condition, COOLING)
        yield Finding("problem", f"the board is throttled: {condition}", remedy)
    for condition in occurred:
        if condition not in current:
            remedy = THROTTLING_REMEDIES.get(condition, COOLING)
            yield Finding("warning", f"the board has been throttled since boot: {condition}", remedy)
    if state.load > machine.cores:
        message = f"the load is {state.load:g} on {machine.cores} cores"
        yield Finding("warning", message, "stop other programs")


def _runtime_findings(statuses: tuple[RuntimeStatus, ...], machine: Machine) -> Iterator[Finding]:
    failing = [status for status in statuses if status.installed and not status.loads]
    for status in failing:
        message = f"{status.runtime} {status.installed} does not load: {status.reason}"
        message = status.reason if status.format == COMPILED else message
        yield Finding("problem", message, status.remedy)
    if failing and machine.page_size != COMMON_PAGE_SIZE:
        message = f"memory pages have {machine.page_size:,} bytes, and some wheels need {COMMON_PAGE_SIZE:,}"
        yield Finding("warning", message, "add kernel=kernel8.img to /boot/firmware/config.txt and reboot")
    packages = [status for status in statuses if status.format != COMPILED]
    working = {status.format for status in packages if status.loads}
    missing = dict.fromkeys(status.format for status in packages if status.format not in working)
    for format in missing:
        severity: Severity = "problem" if len(missing) > 1 else "warning"
        message = f"no working runtime for .{format} artifacts"
        yield Finding(severity, message, _install_remedy([status for status in statuses if status.format == format]))
    for status in statuses:
        if status.format == COMPILED and not status.installed:  # optional: a library for this processor needs none
            yield Finding(
                "warning", f"{status.reason}: .c artifacts run only from a library for this processor", status.remedy
            )


def _install_remedy(statuses: list[RuntimeStatus]) -> str:
    """The command that installs one of these runtimes, or the reason why none can be installed."""
    for status in statuses:
        if status.wheel and status.remedy:
            return status.remedy
    return f"use another Python or system: {statuses[0].runtime} has {statuses[0].reason}"
