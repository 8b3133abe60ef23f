"""Runs the Ansible playbook in a process of its own, and follows the outcome of each board."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from mnistkit.core import files
from mnistkit.core.errors import FleetError
from mnistkit.core.packages import missing_package
from mnistkit.core.processes import last_stderr_line
from mnistkit.core.progress import Progress
from mnistkit.fleet import failures

PLAYBOOK = Path(__file__).parent / "board.yml"
PLUGINS = Path(__file__).parent / "plugins"
FORKS = 32  # boards at a time: more than this machine has cores, because the boards do the work
# Without these, the connection to a board that loses power would never end.
KEEPALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"

Status = Literal["ok", "failed", "unreachable"]
Event = dict[str, Any]  # a line of plugins/mnistkit_events.py


@dataclass
class HostOutcome:
    """The outcome of one board."""

    status: Status | None = None  # None if the board was not finished
    seconds: float = 0  # from the start of the run until the board was finished
    changed: list[str] = field(default_factory=list)  # tasks that changed something on the board
    problem: str = ""
    remedy: str = ""


class PlaybookRun:
    """One run of the playbook. `outcomes` is valid even if the run is interrupted."""

    def __init__(self, arguments: list[str], variables: Mapping[str, Any], folder: Path) -> None:
        self.outcomes: dict[str, HostOutcome] = {}
        path = folder / "variables.json"
        files.write_bytes(path, json.dumps(variables).encode())
        self._command = [sys.executable, "-P", "-m", "ansible", "playbook", *arguments]
        self._command += ["--extra-vars", f"@{path}", str(PLAYBOOK)]
        self._started: set[str] = set()  # boards that have completed a task

    def run(self, activity: str, progress: Progress) -> None:
        """Run the playbook to its end. Raises FleetError if there are no boards, or Ansible fails to start."""
        with tempfile.TemporaryFile() as stderr, self._process(stderr) as process:
            events = self._events(process)
            hosts = next((event["hosts"] for event in events if event["event"] == "hosts"), None)
            if hosts:
                self.outcomes.update({host: HostOutcome() for host in hosts})
                boards = f"{len(hosts)} board{'s' if len(hosts) > 1 else ''}"
                with progress.task(f"{activity} {boards}", len(hosts)) as advance:
                    self._follow(events, advance)
            process.wait()
            self._end(failures.redact_credentials(last_stderr_line(stderr))[: failures.MAX_LINE_CHARACTERS])

    def _follow(self, events: Iterator[Event], advance: Callable[[float], None]) -> None:
        for event in events:
            outcome = self.outcomes.get(event.get("host", ""))
            if event["event"] != "task" or not outcome or outcome.status:
                continue
            if event["changed"]:
                outcome.changed.append(event["task"])
            if event["last"]:
                _finish(outcome, event, started=event["host"] in self._started)
                advance(1)
            self._started.add(event["host"])

    def _end(self, error: str) -> None:
        """Mark the boards that were not finished as failed, with Ansible's last line of errors as the reason."""
        if not self.outcomes:
            raise FleetError(f"Ansible stopped: {error or 'no boards found'}", "check the inventory and --only")
        for outcome in self.outcomes.values():
            if not outcome.status:
                outcome.status = "failed"
                outcome.problem = f"Ansible stopped before the board was finished: {error or 'no error message'}"
                outcome.remedy = "run again with --only @failed"

    @contextlib.contextmanager
    def _process(self, stderr: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
        """Ansible in a session of its own: it has no terminal to prompt on, and its process group is killed at once."""
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(),
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate()

    def _events(self, process: subprocess.Popen[str]) -> Iterator[Event]:
        """The events of plugins/mnistkit_events.py; other lines of Ansible's output are ignored."""
        for line in process.stdout or ():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    yield event


def require() -> None:
    """Raise MissingExtraError if Ansible is not installed."""
    if importlib.util.find_spec("ansible") is None:
        raise missing_package("ansible-core", "fleet")


def _finish(outcome: HostOutcome, event: Event, *, started: bool) -> None:
    outcome.seconds = event["seconds"]
    outcome.status = event["outcome"] if event["outcome"] in {"failed", "unreachable"} else "ok"
    if outcome.status != "ok":
        outcome.problem, outcome.remedy = failures.explain(
            event["task"], event["output"], reached=outcome.status == "failed", started=started
        )


def _environment() -> dict[str, str]:
    """The user's environment, with defaults and with the settings that the playbook and its plugin need."""
    defaults = {"ANSIBLE_FORKS": str(FORKS), "ANSIBLE_PYTHON_INTERPRETER": "auto_silent"}
    required = {
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS),
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_HOST_KEY_CHECKING": "1",  # whatever ansible.cfg says
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",  # by default Ansible skips an invalid inventory
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_SSH_EXTRA_ARGS": f"{os.environ.get('ANSIBLE_SSH_EXTRA_ARGS', '')} {KEEPALIVE}".strip(),
        "ANSIBLE_STDOUT_CALLBACK": "mnistkit_events",
        "LC_ALL": "C.UTF-8",  # Ansible needs UTF-8, and failures.py matches English messages
    }
    return defaults | os.environ | required
