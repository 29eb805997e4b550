# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as an operator gets it: built, installed from its own tarball, asked and run from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import host

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/demo"), str(ROOT / "tests/standin")]

from sandbox import Sandbox  # noqa: E402

BIN = Path(sys.executable).parent
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
# What only this repository needs: an operator gets neither its caches nor its tools.
FOREIGN = (".venv", ".tree", ".cache", ".ci", ".git", ".demo", "tools", "Makefile")


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the collection from what git knows, as a release would be."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    names = [name for name in listed.splitlines() if (ROOT / name).is_file()]
    with tarfile.open(out / "tree.tar", "w") as pack:
        for name in names:
            pack.add(ROOT / name, name)
    subprocess.run(["tar", "-xf", out / "tree.tar", "-C", source], check=True)
    subprocess.run([BIN / "ansible-galaxy", "collection", "build", "--output-path", out], cwd=source, check=True)
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    return out / f"bilingual_tutor-ops-{version}.tar.gz"


@pytest.fixture(scope="session")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the tarball into a collections path of its own."""
    path = tmp_path_factory.mktemp("installed")
    done = ansible("ansible-galaxy", "collection", "install", tarball, "-p", path, path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (path / "ansible_collections" / "bilingual_tutor" / "ops" / "MANIFEST.json").is_file(), done.stdout
    return path


def ansible(program: str, *words: str | Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible that sees the installed collection and nothing of the checkout."""
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(path), "PYTHONPATH": ""}
    return subprocess.run([BIN / program, *words], cwd=path, env=env, capture_output=True, text=True, check=False)


def test_tarball_holds_the_collection_and_nothing_foreign(tarball):
    with tarfile.open(tarball) as pack:
        names = pack.getnames()
    assert "plugins/modules/service_health.py" in names
    assert "playbooks/daily_checks.yml" in names
    assert [name for name in names if name.split("/")[0] in FOREIGN] == []
    assert [name for name in names if "__pycache__" in name] == []


@pytest.mark.parametrize("kind", ["module", "filter", "callback", "role"])
def test_documentation_is_found(installed, kind):
    done = ansible("ansible-doc", "-t", kind, "--list", "--json", "bilingual_tutor.ops", path=installed)
    assert done.returncode == 0, done.stderr
    found = {name.rpartition(".")[2] for name in json.loads(done.stdout)}
    if kind == "module":
        assert found == set(MODULES)
    elif kind == "role":
        assert found == set(ROLES)
    else:
        assert found, f"no {kind} plugin"


@pytest.mark.parametrize("name", MODULES)
def test_module_documentation_reads(installed, name):
    done = ansible("ansible-doc", f"bilingual_tutor.ops.{name}", path=installed)
    assert done.returncode == 0, done.stderr
    assert "EXAMPLES" in done.stdout
    assert "RETURN VALUES" in done.stdout


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbook_is_found_and_parses(installed, name):
    words = ("-i", ROOT / "inventories/production.example", "--syntax-check", f"bilingual_tutor.ops.{name}")
    done = ansible("ansible-playbook", *words, path=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stderr


def test_a_shift_runs_from_there(installed, tmp_path):
    sandbox = Sandbox(tmp_path, {"nginx": 0, "gunicorn": 0, "redis": 0})
    sandbox.up()
    variables = {"ops_shift": "morning", "demo_dir": str(tmp_path), "tutor_host_skip": sorted(host.AREA.rules)}
    words = ("-i", ROOT / "inventories/demo", "bilingual_tutor.ops.daily_checks", "-e", json.dumps(variables))
    try:
        done = ansible("ansible-playbook", *words, path=installed)
    finally:
        sandbox.down()
    assert done.returncode == 0, done.stdout + done.stderr
    [envelope] = json.loads((tmp_path / "reports/latest.json").read_text(encoding="utf-8"))["envelopes"]
    assert envelope["counts"]["ok"] > 20
