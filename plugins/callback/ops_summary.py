# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the table of all checks of a run at its end."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ops_summary
type: aggregate
short_description: Show the findings of all checks at the end of a run
version_added: 0.1.0
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
description:
  - Collects the checks (schema C(ops.check/1)) from the results of all tasks and prints one table at the end of the
    run. Hosts that could not be reached come first, then the findings, worst first, each with what to do next; healthy
    checks are counted.
  - Prints nothing when a run had neither checks nor unreachable hosts.
  - Shows each status by colour and by shape. With E(NO_COLOR) or an output that is not UTF-8 the shapes are ASCII.
requirements:
  - Enable it with C(callbacks_enabled = bilingual_tutor.ops.ops_summary) in the section C([defaults]) of
    C(ansible.cfg).
options:
  locale:
    description:
      - Language of the table, English or Chinese.
      - Without it the variable C(ops_locale) of the first host decides, then English.
    type: str
    choices: [en, zh]
    env:
      - name: OPS_LOCALE
    ini:
      - section: ops_summary
        key: locale
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  callbacks_enabled = bilingual_tutor.ops.ops_summary
  [ops_summary]
  locale = zh
"""

import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.catalogue import LOCALES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import (
    ACTIONS,
    Step,
    make_envelope,
    run_envelope,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import terminal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.acts import KINDS

# Tag of a task that fails a host for findings it has reported already.
VERDICT = "ops_verdict"

# Tag of a task that asks a host whether the run is about it: one that does not answer is told of by the role that asks.
ASKS = "ops_asks"

# The module whose silence is that of the whole host; an action that takes too long says nothing about the host.
LOOK = "service_health"

COLOURS = {
    Status.OK: C.COLOR_OK,
    Status.WARNING: C.COLOR_CHANGED,
    Status.CRITICAL: C.COLOR_ERROR,
    Status.UNKNOWN: C.COLOR_WARN,
    Status.SKIPPED: C.COLOR_SKIP,
}


def _never_raises(hook: Callable[..., None]) -> Callable[..., None]:
    """Turn whatever goes wrong into a warning: a table must not disturb the run it tells about."""

    @wraps(hook)
    def guarded(self: CallbackModule, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - of another plugin, of a host, of a terminal: none is worth the run
            self._display.warning(f"ops_summary: {type(exc).__name__}: {exc}")

    return guarded


class CallbackModule(CallbackBase):
    """Collects checks while the run goes on; prints at its end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bilingual_tutor.ops.ops_summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin = time.monotonic()
        self._play: Any = None
        self._first_host: Any = None
        # Host name -> (id, item) -> check: a check that two tasks return counts once, as the later one saw it.
        self._checks: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
        # What modules did, as events that the ledger would take.
        self._done: list[dict[str, Any]] = []
        # What they did not complete, as findings: told of a host that failed, since a rescue may have made up for it.
        self._undone: dict[str, list[dict[str, Any]]] = {}
        self._unreachable: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        # Failures that did not end the host's run, in their order: an action that a role goes on after, to record it.
        self._ignored: dict[str, list[str]] = {}

    @_never_raises
    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._begin = time.monotonic()

    @_never_raises
    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play

    @_never_raises
    def v2_runner_on_ok(self, result: Any) -> None:
        self._collect(result)

    @_never_raises
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._collect(result, failed=True)
        name, message = result.host.name, str(result.result.get("msg", ""))
        if VERDICT in result.task.tags:
            return  # it says in words what the table shows
        if "timedout" in result.result and str(result.task.action).endswith(LOOK) and name not in self._checks:
            self._unreachable[name] = message  # a host that falls silent in mid-run
        elif KINDS.get(_module(result)):
            self._undone.setdefault(name, []).extend(_not_completed(result, name))
        elif ignore_errors:
            self._ignored.setdefault(name, []).append(message)
        else:
            self._failed[name] = message

    @_never_raises
    def v2_runner_on_unreachable(self, result: Any) -> None:
        if ASKS in result.task.tags:
            return
        self._first_host = self._first_host or result.host
        self._unreachable[result.host.name] = str(result.result.get("msg", ""))

    @_never_raises
    def v2_playbook_on_stats(self, stats: Any) -> None:
        for host in stats.failures:
            for check in self._undone.get(host, ()):
                self._checks.setdefault(host, {})[(check["id"], check["item"])] = check
        if not self._checks and not self._unreachable:
            return
        # A failure that a rescue caught is not one of the run.
        failed = {host: self._reason(host) for host in [*self._failed, *self._ignored] if host in stats.failures}
        lines = terminal.render(
            self._envelopes(failed),
            locale=self._locale(),
            plain=bool(C.ANSIBLE_NOCOLOR),
            encoding=getattr(sys.stdout, "encoding", None) or "utf-8",
            seconds=time.monotonic() - self._begin,
            failed={host: message for host, message in failed.items() if message and host in self._checks},
            done=self._done,
        )
        self._display.display("")
        for line in lines:
            self._display.display(line.text, color=None if line.status is None else COLOURS[line.status])

    def _collect(self, result: Any, failed: bool = False) -> None:
        self._first_host = self._first_host or result.host
        data = result.result
        items = data.get("results")
        parts = [data, *(items if isinstance(items, list) else [])]
        kind = KINDS.get(_module(result))
        if kind and not result.task.check_mode and not data.get("skipped"):
            # Of a task, Ansible tells a callback in no other way that it failed; of the turns of a loop, it does.
            turns = [step for step in Step(data, _module(result), kind).parts if step.result is not data]
            done = [{**turn.result, "what": turn.what} for turn in turns] or [{**data, "failed": failed}]
            done = [one for one in done if not one.get("standby_of")]
            self._done += [{"kind": kind, "subject": result.host.name, "data": {"results": done}}] if done else []
        for part in parts:
            checks = part.get("checks") if isinstance(part, dict) else None
            found = [check for check in checks if _is_check(check)] if isinstance(checks, list) else []
            if found:
                seen = self._checks.setdefault(result.host.name, {})
                seen.update({(check["id"], str(check.get("item", ""))): check for check in found})
                self._unreachable.pop(result.host.name, None)

    def _envelopes(self, failed: Mapping[str, str]) -> list[dict[str, Any]]:
        looked_at = [{"host": host, "checks": list(checks.values())} for host, checks in self._checks.items()]
        gone = [
            make_envelope({"unreachable": True, "msg": message}, host, "", "", "", {})
            for host, message in self._unreachable.items()
        ]
        unchecked = [
            make_envelope({"msg": message}, host, "", "", "", {})
            for host, message in failed.items()
            if host not in self._checks and host not in self._unreachable
        ]
        return [*gone, *unchecked, *looked_at]

    def _reason(self, host: str) -> str:
        """Return why a host failed, each thing once: the last failure may repeat those that were ignored before it."""
        last = self._failed.get(host, "")
        earlier = [text for text in dict.fromkeys(self._ignored.get(host, ())) if text not in last]
        return "; ".join(filter(None, [*earlier, last]))

    def _locale(self) -> str:
        chosen = self.get_option("locale")
        if not chosen and self._play and self._first_host:
            manager = self._play.get_variable_manager()
            chosen = manager.get_vars(play=self._play, host=self._first_host, include_hostvars=False).get("ops_locale")
        return str(chosen) if chosen in LOCALES else "en"


def _module(result: Any) -> str:
    return str(result.task.action).rpartition(".")[2]


def _not_completed(result: Any, host: str) -> list[dict[str, Any]]:
    """Return what a module that acts did not complete, as the record of the run has it."""
    step = Step({**result.result, "failed": True}, _module(result), KINDS[_module(result)])
    record = run_envelope([step], host, {"id": "", "phase": "", "started": ""}, {})
    return [check for check in record["checks"] if check["group"] == ACTIONS.group]


def _is_check(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("id"), str) and "status" in data
