# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of the modules that act: their common options, how they tell progress, how a signal ends them, one exit."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, NoReturn, Protocol

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ending import Ended, ending_in_order
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, teller


class Module(Protocol):
    """What is needed of an AnsibleModule."""

    params: dict[str, Any]

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """Print the result and exit with status 1."""

    def exit_json(self, **result: Any) -> NoReturn:
        """Print the result and exit with status 0."""


def options(deadline: float) -> dict[str, dict[str, Any]]:
    """Return the options that all of them have; ``deadline`` is the default, in seconds."""
    return {"deadline": {"type": "float", "default": deadline}, "progress": {"type": "path"}}


def run(
    module: Module,
    work: Callable[[Tell], dict[str, Any]],
    interrupted: Callable[[Ended], str] | None = None,
    nothing: dict[str, Any] | None = None,
) -> NoReturn:
    """Do the work of a module and exit with the result it returns.

    With ``interrupted``, which words the failure, a signal ends the work in order; without it, as it ends any process.
    ``nothing`` is the result of a run that failed before it had one, where the module promises one always.
    """
    started, begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()

    def timed(result: dict[str, Any] | None) -> dict[str, Any]:
        return {**(result or {}), "started": started, "duration_ms": round((time.monotonic() - begin) * 1000, 1)}

    try:
        with ending_in_order() if interrupted else contextlib.nullcontext():
            result = work(teller(module.params.get("progress") or ""))
    except ActionFailed as exc:
        module.fail_json(msg=str(exc), **timed(exc.result))
    except OpsError as exc:
        module.fail_json(msg=str(exc), **timed(nothing))
    except Ended as exc:
        module.fail_json(msg=interrupted(exc) if interrupted else str(exc), **timed(nothing))
    module.exit_json(**timed(result))
