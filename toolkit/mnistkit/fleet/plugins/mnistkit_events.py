"""Ansible's end of mnistkit's door to it: tells what happens to each host in lines of JSON on standard output.

Ansible loads this, never mnistkit; engine.py reads the lines.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

SAID = ("msg", "stderr", "module_stderr", "stdout", "module_stdout", "exception")  # where a task tells why it failed
MAX_OUTPUT_CHARACTERS = 8000  # characters of each
POLL_SECONDS = 0.01  # Ansible's own 0.001 keeps a core busy with waiting, and only an ansible.cfg could set it


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """One line a host's task, and one for all hosts before the first."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "mnistkit_events"

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()
        self._last = ""  # the task after which a host is done
        constants.DEFAULT_INTERNAL_POLL_INTERVAL = POLL_SECONDS

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Tell which hosts there are."""
        tasks = [task for block in play.compile() for task in block.get_tasks() if task.action != "meta"]
        self._last = tasks[-1]._uuid if tasks else ""  # noqa: SLF001  # Ansible names nothing else
        variables = play.get_variable_manager().get_vars(play=play, include_hostvars=False)
        self._tell(event="hosts", hosts=[str(name) for name in variables["ansible_play_hosts_all"]])

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task is done."""
        self._host("ok", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task had no use."""
        self._host("skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed, which is the host's last."""
        self._host("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host is not to be had, or no longer."""
        self._host("unreachable", result)

    def _host(self, outcome: str, result: Any) -> None:
        bad = outcome in {"failed", "unreachable"}
        self._tell(
            event="task",
            host=result.host.get_name(),
            task=result.task.get_name().partition(" : ")[2] or result.task.get_name(),
            outcome=outcome,
            changed=bool(result.result.get("changed")),
            last=bad or result.task._uuid == self._last,  # noqa: SLF001
            said=_said(result.result) if bad else {},
        )

    def _tell(self, **event: object) -> None:
        sys.stdout.write(json.dumps(event | {"seconds": round(time.monotonic() - self._started, 3)}) + "\n")
        sys.stdout.flush()


def _said(result: dict[str, Any]) -> dict[str, str]:
    """What a task that failed says of it; a loop, what the first of its items does that failed."""
    items = [item for item in result.get("results", ()) if item.get("failed") or item.get("unreachable")]
    told = items[0] if items else result
    return {key: str(told[key])[-MAX_OUTPUT_CHARACTERS:] for key in SAID if told.get(key)}
