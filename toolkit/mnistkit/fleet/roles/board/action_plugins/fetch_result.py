"""An Ansible action plugin: `fetch` without the stat of the file beforehand, which starts a Python on the board.

Loaded by Ansible, never by mnistkit: it finds the plugin in the folder of the role.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Copies the file `src` on the board to `dest` on this machine, atomically."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Copy the file with the transfer method of the connection: sftp, or else scp or dd."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        path = Path(self._task.args["dest"])
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".part-{path.name}")
        self._connection.fetch_file(self._task.args["src"], str(part))
        part.replace(path)
        return result
