# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive a failover from the controller: what is decided and written down is done here, without any connection; only the
part of a step that is a host's own goes to that host.

A host that does not answer is a failed step here, not an unreachable host: Ansible would drop it from the play, and
with it whatever has to be taken back there.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import controller, runs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import LOOK, MODULES, full_name


class ActionModule(ActionBase):
    """One task of a failover."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what ``state`` says; a finding an operator can act on fails the task."""
        result = super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(argument_spec=controller.SPEC, required_if=controller.REQUIRED)
        try:
            if options["state"] == "look":
                done = self._look(options, task_vars or {})
            elif options["state"] == "step":
                done = self._step(options, task_vars or {})
            else:
                done = controller.task(options, self._task.check_mode, runs.parent_process())
        except OpsError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        return {**result, **done}

    def _look(self, options: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        if not options["dry"] and not self._task.check_mode:
            self._put_together(task_vars)
        arguments = dict(options["options"])
        return self._execute_module(module_name=LOOK, module_args=arguments, task_vars=dict(task_vars))

    def _put_together(self, task_vars: Mapping[str, Any]) -> None:
        """Put the modules of the steps together, before the decision and each host's process a share of them.

        Ansible does it when a module is first sent, which would be a third of each step, one after the other.
        """
        hosts = list(task_vars["ansible_play_hosts_all"])
        # The interpreter of the host is no part of it, and to look for one would connect.
        known = {**task_vars, "ansible_python_interpreter": sys.executable}
        for module in MODULES[hosts.index(task_vars["inventory_hostname"]) :: len(hosts)]:
            # What is not there, the step puts together itself: never a reason not to begin.
            with contextlib.suppress(Exception):
                self._configure_module(module_name=full_name(module), module_args={}, task_vars=known)

    def _step(self, options: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        def execute(module: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            try:
                return self._execute_module(module_name=module, module_args=dict(arguments), task_vars=dict(task_vars))
            except AnsibleConnectionFailure as exc:
                return {"failed": True, "msg": f"does not answer: {exc}"}

        host = str(self._task.delegate_to or task_vars["inventory_hostname"])
        done = controller.do_step(Path(options["directory"]), options["step"], host, execute)
        return {"changed": False, "skipped": True} if done is None else dict(done)
