"""An Ansible callback plugin that writes the outcome of each task to standard output, one line of JSON each.

Loaded by Ansible, never by mnistkit; fleet/playbook.py reads the lines.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

OUTPUT_KEYS = ("msg", "stderr", "module_stderr", "stdout", "module_stdout", "exception")  # of a failed task's result
MAX_OUTPUT_CHARACTERS = 8000  # for each key
POLL_SECONDS = 0.01  # Ansible's default of 0.001 keeps a core busy, and only ansible.cfg could change it


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Writes one event with all hosts, then one event for each task of each host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "mnistkit_events"

    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()
        self._last_task = ""  # a host is finished after this task
        constants.DEFAULT_INTERNAL_POLL_INTERVAL = POLL_SECONDS

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Write the hosts of the play."""
        tasks = [task for block in play.compile() for task in block.get_tasks() if task.action != "meta"]
        self._last_task = tasks[-1]._uuid if tasks else ""  # noqa: SLF001  # Ansible has no public identifier
        variables = play.get_variable_manager().get_vars(play=play, include_hostvars=False)
        self._write(event="hosts", hosts=[str(name) for name in variables["ansible_play_hosts_all"]])

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write that a task succeeded."""
        self._write_task("ok", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Write that a task was skipped."""
        self._write_task("skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write that a task failed, which ends the host's run."""
        self._write_task("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write that a host is unreachable, which ends its run."""
        self._write_task("unreachable", result)

    def _write_task(self, outcome: str, result: Any) -> None:
        failed = outcome in {"failed", "unreachable"}
        self._write(
            event="task",
            host=result.host.get_name(),
            task=result.task.get_name().partition(" : ")[2] or result.task.get_name(),
            outcome=outcome,
            changed=bool(result.result.get("changed")),
            last=failed or result.task._uuid == self._last_task,  # noqa: SLF001
            output=_output(result.result) if failed else {},
        )

    def _write(self, **event: object) -> None:
        sys.stdout.write(json.dumps(event | {"seconds": round(time.monotonic() - self._start, 3)}) + "\n")
        sys.stdout.flush()


def _output(result: dict[str, Any]) -> dict[str, str]:
    """The output of a failed task, or of the first item that failed in a loop."""
    items = [item for item in result.get("results", ()) if item.get("failed") or item.get("unreachable")]
    source = items[0] if items else result
    return {key: str(source[key])[-MAX_OUTPUT_CHARACTERS:] for key in OUTPUT_KEYS if source.get(key)}
