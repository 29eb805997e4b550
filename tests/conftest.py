# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: what runs on a target's Python, and the proof that modules return what their documentation says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated

ROOT = Path(__file__).resolve().parent.parent
# Whole playbooks run there, on machines that do other things too, and hosts whose system is installed first.
SLOW = (ROOT / "tests" / "integration", ROOT / "tests" / "lab")
SLOW_SECONDS = 450
# On a target there is ansible.module_utils and nothing else of Ansible, and no library of the controller.
CONTROLLER = re.compile(
    r"^\s*(?:import|from) (?:ansible(?!\.module_utils|_collections)\b|yaml\b|jmespath\b|jsonschema\b)|ops\.plugins\.(?:filter|callback|modules)\b|run_module\b",
    re.MULTILINE,
)
# Ansible adds these to the result of any module, or reserves them for every module that fails.
COMMON = {"ansible_facts", "changed", "deprecations", "diff", "exception", "failed", "invocation", "msg", "warnings"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool,
    "complex": dict,
    "dict": dict,
    "float": (int, float),
    "int": int,
    "list": list,
    "raw": object,
    "str": str,
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what tests the controller's side where there is no controller (see `units oldest target`)."""
    if collection_path.suffix != ".py" or importlib.util.find_spec("ansible.plugins") is not None:
        return None
    if CONTROLLER.search(collection_path.read_text(encoding="utf-8")) and collection_path.name != "conftest.py":
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests more time than pyproject.toml does, before they count as hanging."""
    for item in items:
        if any(folder in item.path.parents for folder in SLOW) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


def documented_returns(module: str) -> dict[str, Any]:
    """Return what the RETURN block of a module promises."""
    yaml = pytest.importorskip("yaml")
    found = importlib.import_module(f"ansible_collections.bilingual_tutor.ops.plugins.modules.{module}")
    return yaml.safe_load(found.RETURN) or {}


def disagreements(documented: Mapping[str, Any], seen: Mapping[str, Any], path: str = "") -> list[str]:
    """Compare one level of a result with its documentation: undocumented, missing and of another type."""
    wrong = [f"{path}{key} is returned and not in RETURN" for key in sorted(seen.keys() - documented.keys())]
    for key, entry in documented.items():
        if key not in seen:
            if entry.get("returned", "") in ("always", "success"):
                wrong.append(f"{path}{key} is in RETURN as returned: {entry['returned']}, and was not returned")
            continue
        value = seen[key]
        kind = entry.get("type", "")
        if kind not in TYPES:
            wrong.append(f"{path}{key} has the type {kind!r} in RETURN: expected one of {', '.join(TYPES)}")
        elif value is not None and (not isinstance(value, TYPES[kind]) or (kind == "int" and isinstance(value, bool))):
            wrong.append(f"{path}{key} is {kind} in RETURN, and {type(value).__name__} was returned: {value!r}")
        elif entry.get("contains"):
            for element in value if isinstance(value, list) else [value]:
                if isinstance(element, Mapping):
                    wrong += disagreements(entry["contains"], element, f"{path}{key}.")
    return wrong


@pytest.fixture
def returns_as_documented() -> Callable[[str, Mapping[str, Any]], None]:
    """Assert that the result of a module that really ran is what its RETURN block says.

    Use it as ``returns_as_documented("redis_stats", result)``. test_docs_true.py fails for a module for which no test
    does so.
    """

    def check(module: str, result: Mapping[str, Any]) -> None:
        assert not result.get("failed"), f"expected the result of a run that worked, seen {result.get('msg')}"
        documented = documented_returns(module)
        seen = {key: value for key, value in result.items() if key in documented or key not in COMMON}
        wrong = sorted(set(disagreements(documented, seen)))
        assert not wrong, f"{module}: RETURN is not what was returned:\n" + "\n".join(wrong)

    return check


NOBODY = 65534


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], Any]], Any]:
    """Run a function as a user without rights and return what it returns, plain JSON.

    In a child that is killed after a minute: a fork of this very process would go on with the tests, as a second one,
    where an assertion in it fails.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")

    def run(function: Callable[[], Any]) -> Any:
        def child() -> Any:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            return function()

        outcome = run_isolated(child, 60)
        assert (outcome.error, outcome.timed_out) == ("", False)
        return outcome.value

    return run


RUN = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from {package} import {module}
with patch_module_args(json.load(sys.stdin)):
    {module}.main()
"""


@pytest.fixture
def run_module() -> Callable[..., dict[str, Any]]:
    """Run a module in a process of its own, as a host does, and return its result."""

    def run(module: str, **options: Any) -> dict[str, Any]:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                RUN.format(package="ansible_collections.bilingual_tutor.ops.plugins.modules", module=module),
            ],
            input=json.dumps(options),
            env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))

    return run
