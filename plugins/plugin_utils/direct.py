# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module of this collection on the controller as the program it is.

Ansible packs a module with all it imports into an archive at each run, and Python compiles it all anew from there. On
the controller the collection is installed: started from its files, a module takes half the CPU time or less. Packed,
the ledger's three tasks were half of what a shift cost the controller (`make bench`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

COLLECTION = "ansible_collections.bilingual_tutor.ops"
# Not resolved: the collection may be a symbolic link.
ROOT = Path(__file__).parents[5]  # the directory that holds ansible_collections


class ActionModule(ActionBase):
    """The module of the same name, without its packing where there is nothing to carry anywhere."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and return its result."""
        result = super().run(tmp, task_vars)
        direct = self._is_direct(task_vars or {})
        return {**result, **(self._start() if direct else self._execute_module(task_vars=task_vars))}

    def _is_direct(self, task_vars: Mapping[str, Any]) -> bool:
        """Tell whether the task runs here, as this user and with this Python, and wants nothing special."""
        delegate = task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to or "", task_vars)
        return (
            self._connection.transport == "local"
            and not self._connection.become
            and not self._task.async_val
            and not any(self._task.environment or [])
            and delegate.get("ansible_python_interpreter", sys.executable) == sys.executable
        )

    def _start(self) -> dict[str, Any]:
        name = self._task.action.rpartition(".")[2]
        arguments = {
            **self._task.args,
            "_ansible_check_mode": self._task.check_mode,
            "_ansible_diff": self._task.diff,
        }
        search = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-m", f"{COLLECTION}.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": search},
            cwd=self._loader.get_basedir(),  # as Ansible's own local connection
            check=False,
        )
        try:
            return json.loads(done.stdout)
        except ValueError:
            said = (done.stderr or done.stdout).strip()
            return {"failed": True, "msg": f"{name} ended with {done.returncode} and no result: {said[-2000:]}"}
