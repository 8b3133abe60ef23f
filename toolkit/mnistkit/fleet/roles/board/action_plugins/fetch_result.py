"""Ansible's `fetch` without its look at the file beforehand, which starts a Python on the board.

Ansible loads this, never mnistkit; it finds it beside the role's tasks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Copies the file `src` from the board to `dest` here, where it appears whole or not at all."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """By whatever the connection has for that: sftp, or where there is none scp or dd."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        wanted = Path(self._task.args["dest"])
        wanted.parent.mkdir(parents=True, exist_ok=True)
        part = wanted.with_name(f".part-{wanted.name}")
        self._connection.fetch_file(self._task.args["src"], str(part))
        part.replace(wanted)
        return result
