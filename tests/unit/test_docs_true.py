# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation says is so: examples, return values, variables, playbooks, the runbook's rows."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry

ROOT = Path(__file__).resolve().parents[2]
FQCN = "bilingual_tutor.ops."
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
READMES = ["README.md", "README.zh-CN.md"]
# Words of a task that are no option of the module.
KEYWORDS = {
    *("name", "register", "when", "loop", "vars", "become", "become_user", "delegate_to", "run_once", "no_log", "tags"),
    *("check_mode", "changed_when", "failed_when", "ignore_unreachable", "loop_control", "until", "retries", "delay"),
    *("args", "async", "connection", "diff", "environment", "ignore_errors", "notify", "poll", "throttle", "timeout"),
}
SPEC_RULES = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
# The steps of the operations runbook; docs/runbook.md has a row for each.
STEPS = """
S1 O1 O2 O3 D1.1 D1.2 D1.3 D1.4 D1.5 D1.6 D2.1 D2.2 D2.3 D2.4 D3.1 D3.2 D3.3 D3.4 W1 W2 W3 W4 W5 M1 M2 M3 M4
I1 I2 I3 I4 I5 I6 I7 I8 I9 C1 C2 C3 C4 C5 C6 C7 C8 E1 E2 E3 E4 E5 E6 E7 E8 A1 A2.1 A2.2 A2.3 A2.4 A3 A4 A5 A6 A7
K1 K2 Q1 Q2 Q3 Q4
""".split()


class Captured(Exception):
    """Raised instead of starting a module."""


def load(path: Path) -> Any:
    """Read a YAML file of the repository."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def module_of(name: str) -> Any:
    """Import a module of the collection."""
    return importlib.import_module(f"ansible_collections.bilingual_tutor.ops.plugins.modules.{name}")


def arguments_of(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the module's main gives to AnsibleModule: the argument spec and its rules."""

    def capture(**arguments: Any) -> None:
        raise Captured(arguments)

    module = module_of(name)
    monkeypatch.setattr(module, "AnsibleModule", capture)
    with pytest.raises(Captured) as caught:
        module.main()
    return caught.value.args[0]


def filled(value: Any, option: dict[str, Any]) -> Any:
    """Return the value of an example, a template replaced by something of the type that the option wants."""
    if not (isinstance(value, str) and "{{" in value):
        return value
    if option.get("choices"):
        return option["choices"][0]
    return {"dict": {}, "list": [], "int": 1, "float": 1.0, "bool": True}.get(option.get("type", "str"), value)


def tasks_in(value: Any) -> list[dict[str, Any]]:
    """Return the tasks of an example, also those inside plays and blocks."""
    found = []
    for entry in value:
        nested = [entry[key] for key in ("tasks", "block", "rescue", "always") if key in entry]
        found += [task for inner in nested for task in tasks_in(inner)] if nested else [entry]
    return found


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_tasks_the_module_accepts(name, monkeypatch):
    arguments = arguments_of(name, monkeypatch)
    spec = arguments["argument_spec"]
    validator = ArgumentSpecValidator(spec, **{rule: arguments.get(rule) for rule in SPEC_RULES})
    tasks = tasks_in(yaml.safe_load(module_of(name).EXAMPLES))
    assert any(FQCN + name in task for task in tasks), "no example of the module itself"
    for task in tasks:
        for action in sorted(task.keys() - KEYWORDS):
            assert "." in action, f"{action}: expected the full name of a module, or a keyword of a task"
            assert not action.startswith(FQCN) or action[len(FQCN) :] in MODULES, f"{action}: no such module"
        if FQCN + name in task:
            options = task[FQCN + name] or {}
            result = validator.validate({key: filled(value, spec.get(key, {})) for key, value in options.items()})
            assert not result.error_messages, f"{task['name']}: {result.error_messages}"
            for probe in options.get("probes", []) if name == "service_health" else []:
                registry.prepare(probe)


def documented_options(name: str) -> set[str]:
    """The options a module documents itself and those of our fragments."""
    documented = yaml.safe_load(module_of(name).DOCUMENTATION)
    options = set(documented["options"])
    for fragment in documented.get("extends_documentation_fragment", ()):
        file, _dot, part = fragment[len(FQCN) :].partition(".")
        found = importlib.import_module(f"ansible_collections.{FQCN}plugins.doc_fragments.{file}").ModuleDocFragment
        options |= set(yaml.safe_load(getattr(found, part.upper() or "DOCUMENTATION"))["options"])
    return options


@pytest.mark.parametrize("name", MODULES)
def test_documented_options_are_the_spec(name, monkeypatch):
    spec = arguments_of(name, monkeypatch)["argument_spec"]
    assert documented_options(name) == set(spec)


@functools.cache
def compared():
    """Return the modules of which a test compares a result with RETURN."""
    word, found = "returns_as_documented", set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if word in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == word:
                found.add(ast.literal_eval(node.args[0]))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_test_compares_a_real_result_with_return(name):
    assert name in compared(), (
        f'no test calls returns_as_documented("{name}", result) with what the module returned (tests/conftest.py)'
    )


@pytest.mark.parametrize("name", MODULES)
def test_module_is_in_the_action_group(name):
    assert name in load(ROOT / "meta" / "runtime.yml")["action_groups"]["all"]


def test_action_group_names_modules():
    assert set(load(ROOT / "meta" / "runtime.yml")["action_groups"]["all"]) == set(MODULES)


@pytest.mark.parametrize("name", ROLES)
def test_role_defaults_are_its_argument_specs(name):
    specs = load(ROOT / "roles" / name / "meta" / "argument_specs.yml")["argument_specs"]
    tasks = {path.stem for path in (ROOT / "roles" / name / "tasks").glob("*.yml")}
    # A role that only holds variables for others has its defaults and no task.
    assert specs.keys() <= (tasks or {"main"}), "an entry point without tasks"
    options = {key: option for spec in specs.values() for key, option in spec.get("options", {}).items()}
    defaults_file = ROOT / "roles" / name / "defaults" / "main.yml"
    defaults = (load(defaults_file) or {}) if defaults_file.exists() else {}
    assert defaults.keys() - options.keys() == set(), "in defaults/main.yml and in no entry point"
    given = {key for key, option in options.items() if "default" in option}
    assert given - defaults.keys() == set(), "a default in an entry point and none in defaults/main.yml"
    for spec in specs.values():
        for key, option in spec.get("options", {}).items():
            assert not (option.get("required") and key in defaults), f"{key} is required and has a default"
            if "default" in option:
                assert option["default"] == defaults[key], f"{key}: another default in defaults/main.yml"


@pytest.mark.parametrize("name", READMES)
def test_readme_names_what_there_is(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    playbooks = set(re.findall(r"ansible-playbook\s+bilingual_tutor\.ops\.([a-z_]+)", text))
    assert playbooks, "no command that runs a playbook"
    assert playbooks <= set(PLAYBOOKS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)\b(?=[`\n])", text)) <= targets
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / link).exists(), f"a link to {link}, which is not there"


@pytest.mark.parametrize("name", READMES)
def test_readme_lists_the_dependencies(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = {re.split(r"[<>=; ]", line)[0] for line in lines if line and not line.startswith("#")}
    assert {package for package in packages if package not in text} == set()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "tools/requirements-uv.txt"])
def test_every_requirement_has_a_bound_and_its_reason(name):
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "-r ")):
            assert re.match(r"[A-Za-z0-9._-]+>=[0-9.]+.* # +\S", line), line


def test_runbook_has_a_row_for_every_step():
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    found = [cells for cells in rows if re.fullmatch(r"[A-Z]\d+(\.\d+)?", cells[0])]
    assert [cells[0] for cells in found] == STEPS
    for step, _what, command, proof in found:
        assert command or not proof, f"{step}: a proof without a command"
        for path in re.findall(r"(?:tests|molecule)/[\w./-]+", proof):
            assert (ROOT / path).exists(), f"{step}: {path} is not there"
        if playbook := re.match(r"`([a-z_]+)", command):
            assert playbook[1] in PLAYBOOKS, f"{step}: no playbook {playbook[1]}"


def test_reference_of_the_probes_is_fresh():
    tool = [sys.executable, str(ROOT / "tools" / "probe_docs.py")]
    now = subprocess.run(tool, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert (ROOT / "docs" / "probes.md").read_text(encoding="utf-8") == now, "docs/probes.md is old: run `make docs`"


def test_version_is_the_same_everywhere():
    version = load(ROOT / "galaxy.yml")["version"]
    constants = {}
    for path in (ROOT / "plugins").rglob("*.py"):
        for value in re.findall(r'^(?:TOOL_)?VERSION = "([0-9.]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            constants[str(path.relative_to(ROOT))] = value
    assert constants, "no constant VERSION in plugins: the envelope's tool_version comes from somewhere"
    assert set(constants.values()) == {version}


def test_execution_environment_collects_what_the_controller_needs():
    builder = [sys.executable, "-m", "ansible_builder", "introspect", str(ROOT / ".tree")]
    told = yaml.safe_load(subprocess.run(builder, capture_output=True, text=True, check=True).stdout)
    assert any(line.startswith("jmespath") for line in told["python"])
    assert any(line.startswith("openssh-client ") for line in told["system"])
