"""The one door to Ansible: runs the playbook in a process of its own, and hears what becomes of each board."""

from __future__ import annotations

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
FORKS = 32  # boards at a time; they do the work, so more than there are cores here
# A board that loses its power says no goodbye: without these, its connection would be waited for, for ever.
KEEPALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"

Status = Literal["ok", "failed", "unreachable"]


@dataclass
class HostOutcome:
    """What became of a board."""

    status: Status | None = None  # None: it was not finished
    seconds: float = 0  # since the start, when it was done
    changed: list[str] = field(default_factory=list)  # the tasks that changed something there
    problem: str = ""
    remedy: str = ""


class PlaybookRun:
    """One run of the playbook. What is known of each board stands in `outcomes`, also where it is broken off."""

    def __init__(self, arguments: list[str], variables: Mapping[str, Any], folder: Path) -> None:
        self.outcomes: dict[str, HostOutcome] = {}
        path = folder / "variables.json"
        files.write_bytes(path, json.dumps(variables).encode())
        self._command = [sys.executable, "-P", "-m", "ansible", "playbook", *arguments]
        self._command += ["--extra-vars", f"@{path}", str(PLAYBOOK)]
        self._begun: set[str] = set()

    def run(self, what: str, progress: Progress) -> None:
        """Run it to its end; raises FleetError where there is no board, or Ansible itself fails."""
        with tempfile.TemporaryFile() as errors, self._process(errors) as process:
            events = self._events(process)
            hosts = next((event["hosts"] for event in events if event["event"] == "hosts"), None)
            if hosts:
                self.outcomes.update({host: HostOutcome() for host in hosts})
                with progress.task(f"{what} {len(hosts)} board{'s' if len(hosts) > 1 else ''}", len(hosts)) as advance:
                    self._follow(events, advance)
            process.wait()
            self._conclude(failures.redact_credentials(last_stderr_line(errors))[: failures.MAX_LINE_CHARACTERS])

    def _follow(self, events: Iterator[dict[str, Any]], advance: Callable[[float], None]) -> None:
        for event in events:
            outcome = self.outcomes.get(event.get("host", ""))
            if event["event"] != "task" or not outcome or outcome.status:
                continue
            if event["changed"]:
                outcome.changed.append(event["task"])
            if event["last"]:
                _end(outcome, event, begun=event["host"] in self._begun)
                advance(1)
            self._begun.add(event["host"])

    def _conclude(self, words: str) -> None:
        """What Ansible said last is the reason of all that it left undone."""
        if not self.outcomes:
            raise FleetError(f"Ansible stopped: {words or 'there is no board'}", "check the inventory and --only")
        for outcome in self.outcomes.values():
            if not outcome.status:
                outcome.status = "failed"
                outcome.problem = f"Ansible stopped before the board was done: {words or 'it does not say why'}"
                outcome.remedy = "run again with --only @failed"

    @contextlib.contextmanager
    def _process(self, errors: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
        """Ansible, in a session of its own: without a terminal nothing asks a question, and all of it ends at once."""
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
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

    def _events(self, process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        """The lines of plugins/mnistkit_events.py, among whatever else Ansible prints."""
        for line in process.stdout or ():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    yield event


def require() -> None:
    """Raise MissingExtraError unless Ansible is installed."""
    if importlib.util.find_spec("ansible") is None:
        raise missing_package("ansible-core", "fleet")


def _end(outcome: HostOutcome, event: dict[str, Any], *, begun: bool) -> None:
    outcome.seconds = event["seconds"]
    outcome.status = event["outcome"] if event["outcome"] in {"failed", "unreachable"} else "ok"
    if outcome.status != "ok":
        outcome.problem, outcome.remedy = failures.explain(
            event["task"], event["said"], reached=outcome.status == "failed", begun=begun
        )


def _environment() -> dict[str, str]:
    """The user's own, and what the playbook and its plugin need; host keys are checked, whatever ansible.cfg says."""
    extra_arguments = f"{os.environ.get('ANSIBLE_SSH_EXTRA_ARGS', '')} {KEEPALIVE}".strip()
    wanted = {"ANSIBLE_FORKS": str(FORKS), "ANSIBLE_PYTHON_INTERPRETER": "auto_silent"}
    return (
        wanted
        | os.environ
        | {
            "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS),
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_HOST_KEY_CHECKING": "1",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",  # else what it can make nothing of is left out
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "ANSIBLE_SSH_EXTRA_ARGS": extra_arguments,
            "ANSIBLE_STDOUT_CALLBACK": "mnistkit_events",
            "LC_ALL": "C.UTF-8",  # Ansible insists on UTF-8, and causes.py knows English
        }
    )
