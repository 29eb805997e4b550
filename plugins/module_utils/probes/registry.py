# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All kinds of probe, and the validation of what an operator asks of them.

A probe is its own file and one line in each of two lists here; a test holds the three together.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import json
from collections import UserDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.waivers import Waiver, read_all

# Ansible packs what is imported by name anywhere in a file, also where it is never run.
if TYPE_CHECKING:
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import (  # noqa: F401
        accounts,
        backup,
        capacity,
        cron,
        epoch,
        file,
        host,
        http,
        log,
        logins,
        logrotate,
        performance,
        permissions,
        pip,
        port,
        process,
        redis,
        replication,
        slow_queries,
        sqlite,
        timer,
        unit,
        updates,
    )


class Kinds(UserDict):
    """Probes by kind. Each is imported when it is first asked for: there is no byte code where modules run, and a shift
    needs half of them, a healthy run's summary none.
    """

    def __getitem__(self, kind: str) -> ModuleType:
        if self.data[kind] is None:
            self.data[kind] = importlib.import_module(f"{__package__}.{kind}")
        return self.data[kind]


KINDS = Kinds(
    dict.fromkeys(
        (
            "accounts",
            "backup",
            "capacity",
            "cron",
            "epoch",
            "file",
            "host",
            "http",
            "log",
            "logins",
            "logrotate",
            "performance",
            "permissions",
            "pip",
            "port",
            "process",
            "redis",
            "replication",
            "slow_queries",
            "sqlite",
            "timer",
            "unit",
            "updates",
        )
    )
)

COMMON_OPTIONS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True},
    "name": {"type": "str", "default": ""},
    "timeout": {"type": "float"},
    "thresholds": {"type": "dict", "default": {}},
    "labels": {"type": "dict", "default": {}},
    "waivers": {"type": "list", "elements": "dict", "default": []},
    "serving": {"type": "bool", "default": False},
}


@dataclass(frozen=True)
class Prepared:
    """One probe that is known to be askable: valid options with defaults filled in, and the key of its state."""

    module: ModuleType
    spec: dict[str, Any]
    key: str
    timeout: float
    secrets: frozenset[str]
    waivers: tuple[Waiver, ...] = ()


def prepare(spec: Any) -> Prepared:
    """Validate one entry of ``probes``; raise OpsError that names what is wrong and what is known."""
    if not isinstance(spec, Mapping):
        raise OpsError(f"expected a dict with a kind, seen {spec!r}")
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        close = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known kinds: {', '.join(sorted(KINDS))}"
        raise OpsError(f"unknown kind {kind!r}; {hint}")
    module = KINDS[kind]
    options = {**COMMON_OPTIONS, **module.OPTIONS}
    result = ArgumentSpecValidator(options, **getattr(module, "CONSTRAINTS", {})).validate(dict(spec))
    if result.error_messages:
        raise OpsError(f"{kind}: " + "; ".join(result.error_messages))
    valid = result.validated_parameters
    timeout = module.TIMEOUT if valid["timeout"] is None else valid["timeout"]
    if not timeout > 0:
        raise OpsError(f"{kind}: timeout is {timeout}: expected a number of seconds above 0")
    try:
        waivers = tuple(read_all(valid["waivers"]))
        module.AREA.validate(valid["thresholds"])
        getattr(module, "validate", lambda _spec: None)(valid)  # what an argument spec cannot say: patterns, entries
    except OpsError as exc:
        raise OpsError(f"{kind}: {exc}") from exc
    key = _key(kind, valid, options, getattr(module, "TUNING", frozenset()))
    return Prepared(module, valid, key, timeout, frozenset(result._no_log_values), waivers)


def prepare_all(specs: list[Any]) -> list[Prepared]:
    """Validate all entries of ``probes``; raise one OpsError that lists every mistake with its position."""
    prepared, mistakes = [], []
    for number, spec in enumerate(specs):
        try:
            prepared.append(prepare(spec))
        except OpsError as exc:
            mistakes.append(f"probes[{number}]: {exc}")
    if mistakes:
        raise OpsError("\n".join(mistakes))
    return prepared


def _key(kind: str, spec: dict[str, Any], options: dict[str, dict[str, Any]], tuning: Collection[str]) -> str:
    """Name a probe's state: the same while it looks at the same thing, and free of secrets.

    ``tuning`` are the options of this kind that change how it judges, not what it looks at.
    """
    if spec["name"]:
        return f"{kind}:{spec['name']}"
    tuning = {"timeout", "thresholds", "labels", "waivers", "serving", *tuning}
    told = {k: v for k, v in spec.items() if k not in tuning and not options[k].get("no_log")}
    return f"{kind}:{hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]}"
