# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role traffic on real hosts: a proxy that is switched under load, and an application's host without a proxy."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lab
import pytest
import yaml
from faults import APP, http_code, prove, sh, start, wait_healthy
from runs import ansible

NETS = range(75, 77)
APPLICATION, PROXY = ("tutor1", "tutor2"), "tutor3"
CLIENTS = 16
UP_SECONDS = 40.0
ROLE = "bilingual_tutor.ops.traffic"
SUM = (
    "cd /etc/nginx && { find . -printf '%p %m %U %l\\n' | sort; find . -type f | sort | xargs sha256sum; } | sha256sum"
)
pytestmark = [
    pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had"),
    pytest.mark.timeout(600),  # a role takes minutes on a busy machine
]
LEFT_OUT = "" if os.environ.get("LAB_FAILOVER") else "minutes together, asked for with LAB_FAILOVER=1"
long = pytest.mark.skipif(bool(LEFT_OUT), reason=LEFT_OUT or "asked for")


class Site:
    """Two hosts of the application and a proxy before them."""

    def __init__(self, ours: lab.Lab, directory: Path) -> None:
        self.directory = directory
        self.hosts = {name: ours.host(name) for name in (*APPLICATION, PROXY)}
        told = {name: {"ansible_host": host.address} for name, host in self.hosts.items()}
        groups = {"tutor_primary": APPLICATION[0], "tutor_standby": APPLICATION[1], "tutor_proxy": PROXY}
        common = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": f"-F {ours.ssh_config}",
        }
        children = {group: {"hosts": {name: told[name]}} for group, name in groups.items()}
        (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children, "vars": common}}))

    def play(self, host: str, tasks: list[dict[str, Any]], **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run tasks on a host; what was said is shown by a test that fails."""
        plays = [{"hosts": host, "gather_facts": False, "vars": variables, "tasks": tasks}]
        (self.directory / "play.json").write_text(json.dumps(plays))
        done = ansible(self.directory, str(self.directory / "play.json"), seconds=300)
        print(done.stdout + done.stderr)
        return done

    def role(self, host: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        return self.play(host, [{"ansible.builtin.import_role": {"name": ROLE}}], **variables)

    def switch(self, host: str, **options: Any) -> dict[str, Any]:
        """Run ops_traffic; return its result."""
        result = self.directory / "result.json"
        keep = {"content": "{{ done | to_json }}", "dest": str(result)}
        done = self.play(
            host,
            [
                {"bilingual_tutor.ops.ops_traffic": options, "register": "done"},
                {"ansible.builtin.copy": keep, "delegate_to": "localhost"},
            ],
        )
        assert done.returncode == 0
        return dict(json.loads(result.read_text()))

    def get(self, name: str, path: str = "/health", method: str = "GET") -> tuple[int, http.client.HTTPMessage, str]:
        """Ask a host as a user does, from outside."""
        connection = http.client.HTTPConnection(self.hosts[name].address, timeout=20)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def page(self, name: str) -> None:
        """Expect the page of the maintenance on a host."""
        status, fields, text = self.get(name, "/", "POST")
        assert status == 503 and "维护" in text and "under maintenance" in text, text
        assert fields["Retry-After"] == "30" and fields["Cache-Control"] == "no-store"


def changed(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    found = re.findall(r"^(\w+)\s+: ok=\d+\s+changed=(\d+)", done.stdout, re.MULTILINE)
    return {host: int(count) for host, count in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The role has run on the proxy, which was a host of the application in the tree it boots from."""
    with lab.Lab.reserved(NETS) as ours:
        ours.up([*APPLICATION, PROXY], fresh=True)
        made = Site(ours, tmp_path_factory.mktemp("traffic"))
        for name in APPLICATION:
            wait_healthy(made.hosts[name])
        assert made.role(PROXY).returncode == 0
        yield made


def served_by(site: Site) -> str:
    """Return the host that the proxy asks, as its access log tells."""
    token = f"/health?{time.monotonic_ns()}"
    assert site.get(PROXY, token)[0] == 200
    seen = [
        name
        for name in APPLICATION
        if token in (site.hosts[name].root / "opt/bilingual-tutor/logs/nginx_access.log").read_text()
    ]
    return ",".join(seen)


def test_the_proxy_asks_who_serves_and_only_tells_its_mode(site: Site) -> None:
    assert served_by(site) == APPLICATION[0]
    status, fields, text = site.get(PROXY, "/tutor-ops/ping")
    assert (status, fields["X-Tutor-Mode"], text) == (200, "serving", "serving\n") and "X-Tutor-Upstream" not in fields
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(site.hosts[PROXY].address, 8766, timeout=5).connect()


@long
def test_a_second_run_changes_nothing_and_does_not_turn_the_upstream_back(site: Site) -> None:
    there = site.hosts[APPLICATION[1]].address
    assert site.switch(PROXY, state="serving", upstream=there)["changed"]
    assert changed(site.role(PROXY)) == {PROXY: 0}
    assert served_by(site) == APPLICATION[1]
    renewed = site.role(PROXY, traffic_note={"en": "Ask Wang.", "zh": "请联系王老师。"})
    assert renewed.returncode == 0 and changed(renewed)[PROXY] == 2, "the page and the reload"
    assert served_by(site) == APPLICATION[1]
    site.switch(PROXY, state="serving", upstream=site.hosts[APPLICATION[0]].address)


def test_nobody_loses_a_request_while_it_is_switched(site: Site) -> None:
    """Sixteen clients; then the maintenance and the way back: what is no answer of the application is the page."""
    stop, answers, broken = threading.Event(), Counter[int](), []

    def client() -> None:
        while not stop.is_set():
            try:
                answers[site.get(PROXY, "/api/health")[0]] += 1
            except (OSError, http.client.HTTPException) as exc:
                broken.append(repr(exc))

    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(client) for _number in range(CLIENTS)]
        try:
            done = site.switch(PROXY, state="serving", upstream=site.hosts[APPLICATION[1]].address)
        finally:
            stop.set()
    for one in running:
        one.result()
    print(f"{dict(answers)} in all, module {done['duration_ms']} ms, ended {done['ended']}")
    assert set(answers) == {200} and broken == []
    assert done["changed"] and served_by(site) == APPLICATION[1]
    site.switch(PROXY, state="maintenance")
    site.page(PROXY)
    back = site.switch(PROXY, state="serving", upstream=site.hosts[APPLICATION[0]].address)
    assert back["before"]["mode"] == "maintenance" and served_by(site) == APPLICATION[0]


def test_a_host_that_does_not_answer_is_the_page(site: Site) -> None:
    host = site.hosts[APPLICATION[0]]
    host.set_link(False)
    try:
        site.page(PROXY)
    finally:
        host.set_link(True)
    lab.wait_for("the application answers again", lambda: site.get(PROXY)[0] == 200, UP_SECONDS)


def test_without_a_proxy_the_site_that_is_there_gets_the_page(site: Site) -> None:
    """It stays what it is; a configuration nginx does not accept leaves every file as it was; taken away it is as before."""
    name = APPLICATION[1]
    host = site.hosts[name]
    before = sh(host, SUM)
    sh(host, "cp -p /etc/nginx/nginx.conf /root/ && sed -i '1i worker_shutdown_timeout 5s;' /etc/nginx/nginx.conf")
    broken = sh(host, SUM)
    failed = site.role(name)
    assert failed.returncode != 0 and "worker_shutdown_timeout" in failed.stdout
    assert sh(host, f"nginx -t -q && {SUM}") == broken, "nothing of it was left"
    sh(host, "cp -p /root/nginx.conf /etc/nginx/")
    assert site.role(name).returncode == 0
    assert site.get(name)[1]["X-Frame-Options"] == "DENY" and site.get(name)[0] == 200
    sh(host, f"systemctl stop {APP}")
    site.page(name)
    sh(host, start(APP))
    prove(host, http_code("/health"), "200", UP_SECONDS)
    site.switch(name, state="maintenance")
    site.page(name)
    assert site.role(name, traffic_state="absent").returncode == 0
    assert site.get(name)[0] == 200 and sh(host, SUM) == before
