# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pip probe, on a real environment, with a real index on loopback and one that is not there."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import pip, registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.runner import run_probes

# Nobody listens there: port 9 is discard, and no test starts one.
AWAY = "http://127.0.0.1:9/simple/"


def packaged(site: Path, name: str, requires: str = "") -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    wants = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{wants}")
    (info / "RECORD").write_text("")


@pytest.fixture(scope="module")
def environment():
    # Readable for the user that the environment is given to, which a directory of pytest's is not.
    top = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="pip-probe-"))
    top.chmod(0o755)
    subprocess.run([sys.executable, "-m", "venv", "--symlinks", str(top / "venv")], check=True)
    [site] = (top / "venv" / "lib").glob("python3.*/site-packages")
    packaged(site, "ours")
    yield top / "venv", site
    shutil.rmtree(top)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def index():
    """An index (PEP 503) that knows pip 99 and setuptools, fails for what is in ``broken``, and knows nothing else."""
    pages = {
        "/simple/pip/": '<a href="pip-99.0-py3-none-any.whl">pip-99.0-py3-none-any.whl</a>',
        "/simple/setuptools/": "",
    }
    broken: set[str] = set()

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            code = 500 if self.path in broken else 200 if self.path in pages else 404
            body = pages.get(self.path, "").encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/", broken
        server.shutdown()


def look(venv, url, **options):
    """Run it as the runner does, in a child: it may give up root."""
    spec = {"kind": "pip", "python": str(venv / "bin/python"), "index_url": url, **options}
    checks = run_probes(registry.prepare_all([spec]), {}, 60).checks
    return {check.id: check for check in checks if check.source == "pip"}


def test_what_is_outdated_is_named_and_what_the_index_does_not_know_is_no_fault(environment, index):
    venv, _site = environment
    check = look(venv, index[0])["pip.outdated"]
    assert (check.status, check.value) == (Status.OK, 1)
    assert check.evidence[0].endswith("-> 99.0")
    strict = look(venv, index[0], thresholds={"pip.outdated": {"warn": "0"}})["pip.outdated"]
    assert strict.status is Status.WARNING


def test_an_index_that_is_away_is_unknown_and_never_no_updates(environment):
    check = look(environment[0], AWAY)["pip.outdated"]
    assert (check.status, check.message) == (Status.UNKNOWN, "pip.index")
    assert "Connection refused" in check.summary


def test_an_index_that_fails_for_one_package_is_unknown_and_tells_the_others(environment, index):
    url, broken = index
    broken.add("/simple/ours/")
    check = look(environment[0], url)["pip.outdated"]
    assert (check.status, check.params["count"]) == (Status.UNKNOWN, 1)
    assert "500" in check.summary
    assert check.evidence[0].startswith("ours: ")
    assert check.evidence[-1].endswith("-> 99.0")


def test_conflicts_are_told(environment, index):
    venv, site = environment
    assert look(venv, index[0])["pip.conflicts"].status is Status.OK
    packaged(site, "theirs", "absent-package>=2")
    try:
        check = look(venv, index[0])["pip.conflicts"]
    finally:
        shutil.rmtree(site / "theirs-1.0.dist-info")
    assert (check.status, check.value) == (Status.WARNING, 1)
    assert "absent-package" in check.evidence[0]


def test_an_environment_without_pip_or_without_python_is_unknown(environment, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    check = look(tmp_path / "bare", AWAY)["pip.outdated"]
    assert (check.status, check.message) == (Status.UNKNOWN, "pip.no_pip")
    assert look(tmp_path / "none", AWAY)["pip.outdated"].message == "pip.no_python"


def test_an_index_that_is_silent_is_a_timeout(environment):
    with http.server.socketserver.TCPServer(("127.0.0.1", 0), None) as silent:  # accepts in the kernel, never answers
        url = f"http://127.0.0.1:{silent.server_address[1]}/simple/"
        spec = {"python": str(environment[0] / "bin/python"), "index_url": url}
        [check] = [one for one in pip.probe(spec, {}, Deadline(2.5)).checks if one.id == "pip.outdated"]
    assert (check.status, check.reason, check.message) == (Status.UNKNOWN, "timeout", "pip.slow")


def test_it_writes_nothing(environment, index):
    venv, _site = environment
    for cached in list(venv.rglob("__pycache__")):
        shutil.rmtree(cached)
    before = {path: path.lstat().st_mtime_ns for path in venv.rglob("*")}
    assert look(venv, index[0])["pip.outdated"].value == 1
    assert {path: path.lstat().st_mtime_ns for path in venv.rglob("*")} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give its rights up")
def test_it_runs_as_the_owner(environment):
    venv, _site = environment
    # Any interpreter of this machine may be in a place that only root can reach: the shell is not.
    script, seen = venv / "bin/owned", venv / "seen"
    script.write_text(f"#!/bin/sh\nid -u >> {seen}\necho '[]'\n")
    seen.touch()
    script.chmod(0o755)
    for path in (script, seen):
        os.chown(path, 65534, 65534)
    spec = {"kind": "pip", "python": str(script)}
    assert run_probes(registry.prepare_all([spec]), {}, 60).checks[0].status is Status.OK
    assert set(seen.read_text().split()) == {"65534"}
