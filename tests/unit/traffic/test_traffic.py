# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch of the traffic, on a real nginx."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic import act, nginx

from .conftest import NGINX, Proxy, Upstream, wait

CLIENTS = 16
KILLS = 12


def switch(proxy: Proxy, state: str, upstream: str | None = None, check: bool = False, **more: object) -> dict:
    return act.switch({**proxy.options, "state": state, "upstream": upstream, **more}, check)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("10.0.0.1:8080", "10.0.0.1:8080"),
        ("::1", "[::1]"),
        ("[::1]:81", "[::1]:81"),
        ("[fe80::1]", "[fe80::1]"),
        ("tutor2.example.com", "tutor2.example.com"),
    ],
)
def test_an_upstream_is_an_address_or_a_name_with_a_port(told, expected):
    assert nginx.upstream(told) == expected


@pytest.mark.parametrize(
    "told", ["", ":80", "a b", "a;}", "10.0.0.1:0", "10.0.0.1:70000", "a:b", "http://a", "[::1]x", "a\n"]
)
def test_what_nginx_could_not_use_is_refused(told):
    with pytest.raises(OpsError, match="upstream is"):
        nginx.upstream(told)


def test_the_file_tells_what_it_does():
    for one in (nginx.Traffic("serving", "[::1]:80"), nginx.Traffic("maintenance")):
        assert nginx.parse(one.text()) == one
    assert nginx.parse("upstream tutor_ops { server 10.0.0.1; }") is None
    assert "server [::1]:8080 max_fails=0;" in nginx.Traffic("serving", "[::1]").text(8080)


def test_the_port_of_the_role_is_the_one_of_an_upstream_without(proxy, upstreams):
    site = {"upstream_port": upstreams[1].server_address[1], "ping_port": proxy.ping}
    (proxy.top / "tutor-ops/site.json").write_text(json.dumps(site))
    done = switch(proxy, "serving", "127.0.0.1", run_id="R1")
    assert done["upstream"] == done["after"]["upstream"] == "127.0.0.1" and proxy.get()[2] == "new"
    assert "asked by run R1" in done["evidence"][0]
    assert not switch(proxy, "serving", upstreams[1].address)["changed"], "it is the same with the port told"
    (proxy.top / "tutor-ops/site.json").write_text("{")
    with pytest.raises(OpsError, match=r"site\.json cannot be read"):
        switch(proxy, "maintenance")


def test_check_run_run_check(proxy, upstreams):
    old, new = upstreams
    text = proxy.file.read_text()
    planned = switch(proxy, "serving", new.address, check=True)
    assert planned["changed"] and proxy.file.read_text() == text and proxy.get()[2] == "old"
    done = switch(proxy, "serving", new.address)
    assert done["changed"] and proxy.get()[2] == "new"
    assert done["after"] == planned["after"] and done["diff"] == planned["diff"]
    assert done["before"]["upstream"] == old.address and done["ended"] == []
    inode = proxy.file.stat().st_ino
    for check in (False, True):
        again = switch(proxy, "serving", new.address, check=check)
        assert not again["changed"] and again["evidence"] == [] and proxy.file.stat().st_ino == inode


def test_the_maintenance_is_a_503_in_both_languages(proxy, upstreams):
    """For every method and path; the two paths of our own tell nothing else and open no way to the application."""
    switch(proxy, "maintenance")
    hits = upstreams[0].hits
    for method, path in (
        ("GET", "/"),
        ("POST", "/api/learn"),
        ("PUT", "/x"),
        ("GET", "/tutor-ops/other"),
        ("GET", "/tutor-ops/ping/x"),
    ):
        status, fields, page = proxy.get(path, method, b"x=1" if method != "GET" else None)
        assert status == 503 and "维护" in page and "under maintenance" in page, (method, path, page)
        assert fields["retry-after"] == "30" and fields["cache-control"] == "no-store"
        assert fields["content-type"] == "text/html; charset=utf-8" and "etag" not in fields
        assert "http" not in page.replace("<!DOCTYPE html>", "").replace("<html", "").replace("</html>", ""), (
            "self-contained"
        )
    assert upstreams[0].hits == hits, "the application was not asked"
    assert proxy.get("/", "HEAD")[0] == 503
    assert proxy.get("/tutor-ops/maintenance.html")[0] in (404, 503)
    status, fields, text = proxy.get("/tutor-ops/ping")
    assert (status, fields["x-tutor-mode"], text) == (200, "maintenance", "maintenance\n")
    switch(proxy, "serving", upstreams[0].address)
    assert proxy.get("/tutor-ops/ping")[1]["x-tutor-mode"] == "serving" and proxy.get()[2] == "old"


def test_an_upstream_that_is_not_there_is_the_page_and_one_that_says_503_is_itself(proxy, upstreams):
    old, new = upstreams
    status, _fields, text = proxy.get("/busy")
    assert (status, text) == (503, "old")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        switch(proxy, "serving", f"127.0.0.1:{nobody.getsockname()[1]}")
        status, fields, page = proxy.get()
        assert status == 503 and "维护" in page and fields["retry-after"] == "30"
    switch(proxy, "serving", new.address)
    assert proxy.get()[2] == "new", "it is asked at once when it is back"


def test_nobody_loses_a_request_when_the_upstream_changes(proxy, upstreams):
    """Sixteen clients, each request on a connection of its own; after the switch returned nobody reaches the old one."""
    stop, wrong, answers = threading.Event(), [], []

    def client(number: int) -> None:
        while not stop.is_set():
            try:
                status, _fields, text = proxy.get(f"/{number}", "POST", b"x" * 100)
                answers.append((status, text))
            except (OSError, http.client.HTTPException) as exc:
                wrong.append(repr(exc))

    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(client, number) for number in range(CLIENTS)]
        try:
            for turn in range(6):
                target = upstreams[(turn + 1) % 2]
                other = upstreams[turn % 2]
                seen = len(answers)
                wait("clients are at it", lambda seen=seen: len(answers) > seen + CLIENTS)
                switch(proxy, "serving", target.address)
                hits, seen = other.hits, len(answers)
                wait("clients go on", lambda seen=seen: len(answers) > seen + 4 * CLIENTS)
                assert other.hits == hits, "a request reached the former upstream after the switch"
        finally:
            stop.set()
    for one in running:
        one.result()
    assert wrong == [] and {status for status, _text in answers} == {200}
    assert {text for _status, text in answers} == {"old", "new"}


def test_a_connection_that_is_kept_does_not_reach_the_old_upstream(proxy, upstreams):
    old, new = upstreams
    kept = [http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10) for _number in range(8)]
    for connection in kept:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"old"
    done = switch(proxy, "serving", new.address)
    assert done["ended"] == [] and done["evidence"][-1].startswith("no old worker is left")
    hits, answers = old.hits, []
    for connection in kept:
        try:
            connection.request("GET", "/")
            answers.append(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            answers.append(b"closed")
        connection.close()
    assert old.hits == hits and b"old" not in answers, answers


def test_an_old_worker_with_an_endless_request_is_ended_and_named(proxy, upstreams):
    old, new = upstreams
    hits = old.hits
    failed = []

    def slow() -> None:
        try:
            proxy.get("/slow")
        except (OSError, http.client.HTTPException) as exc:
            failed.append(exc)

    thread = threading.Thread(target=slow)
    thread.start()
    wait("the request is there", lambda: old.hits > hits)
    done = switch(proxy, "serving", new.address, drain=0.5)
    assert len(done["ended"]) == 1 and any(done["ended"][0] in told for told in done["evidence"])
    thread.join(5)
    assert failed, "its client sees it end"
    assert not os.path.exists(f"/proc/{done['ended'][0]}") and proxy.get()[2] == "new"


def test_a_frozen_old_worker_is_ended(proxy, upstreams):
    site = proxy.site
    worker = site.workers(site.master())[0]
    os.kill(worker.pid, signal.SIGSTOP)
    done = switch(proxy, "maintenance", drain=0.3)
    assert done["ended"] == [str(worker.pid)] and not nginx.alive(worker)


def test_a_configuration_that_is_broken_elsewhere_is_refused_before_it_is_touched(proxy, upstreams):
    text = proxy.file.read_text()
    (proxy.top / "conf.d/other.conf").write_text("serverr { }\n")
    for check in (True, False):
        with pytest.raises(OpsError, match=r'unknown directive "serverr".*nothing was changed'):
            switch(proxy, "serving", upstreams[1].address, check=check)
    assert proxy.file.read_text() == text and proxy.get()[2] == "old"


def test_what_nginx_does_not_accept_is_put_back(proxy, upstreams):
    """A name that cannot be (no resolver is asked) is only found by nginx: after the file was written."""
    text = proxy.file.read_text()
    name = "a" * 64 + ".invalid"
    with pytest.raises(OpsError, match=rf"{name}.*was put back"):
        switch(proxy, "serving", name)
    assert proxy.file.read_text() == text and proxy.accepts() and proxy.get()[2] == "old"


def test_a_test_that_hangs_is_a_complaint_and_the_file_is_put_back(proxy, upstreams, tmp_path, monkeypatch):
    """As with a name and a resolver that does not answer: the first test is nginx's own, the second one hangs."""
    program = tmp_path / "bin" / "nginx"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ -e {tmp_path}/once ] && exec sleep 60\n: > {tmp_path}/once\nexec {NGINX} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(nginx, "TEST_SECONDS", 2.0)
    text = proxy.file.read_text()
    with pytest.raises(OpsError, match=r"did not answer within 2 s.*was put back"):
        switch(proxy, "serving", upstreams[1].address)
    assert proxy.file.read_text() == text and proxy.get()[2] == "old"


def test_a_file_that_somebody_broke_is_written_anew(proxy, upstreams):
    proxy.file.write_text("upstream {\n")
    assert switch(proxy, "serving", upstreams[1].address)["changed"]
    assert proxy.accepts() and proxy.get()[2] == "new"


def test_without_nginx_the_maintenance_is_kept_for_its_start_and_serving_fails(proxy, upstreams):
    proxy.stop()
    with pytest.raises(OpsError, match="nginx does not run"):
        switch(proxy, "serving", upstreams[1].address)
    done = switch(proxy, "maintenance")
    assert done["changed"] and done["after"]["running"] is False and done["after"]["mode"] == "maintenance"
    proxy.start()
    wait("nginx answers", lambda: proxy.get()[0] == 503)


def test_a_master_that_does_not_reload_fails_and_the_file_is_as_before(proxy, upstreams):
    text = proxy.file.read_text()
    assert proxy.process
    os.kill(proxy.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(OpsError, match="has not taken over"):
            switch(proxy, "serving", upstreams[1].address, deadline=0.5)
    finally:
        os.kill(proxy.process.pid, signal.SIGCONT)
    assert proxy.file.read_text() == text and proxy.get()[2] == "old"


def test_where_the_role_has_not_been_it_says_so(proxy, tmp_path):
    for check in (True, False):
        with pytest.raises(OpsError, match="role traffic"):
            switch(proxy, "maintenance", check=check, directory=str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


CODE = """
import json, sys
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic import act
print("ready", flush=True)
act.switch(json.load(sys.stdin), False)
"""


def started(proxy: Proxy, target: Upstream) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write(json.dumps({**proxy.options, "state": "serving", "upstream": target.address}))
    process.stdin.close()
    return process


def test_killed_at_any_moment_nginx_accepts_what_is_left_and_the_next_run_completes(proxy, upstreams):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice, cut = random.Random(seed), 0
    for turn in range(KILLS):
        target = upstreams[(turn + 1) % 2]
        process = started(proxy, target)
        end = time.monotonic() + dice.uniform(0, 0.2)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        cut += process.wait(5) == -signal.SIGKILL
        assert proxy.accepts() and proxy.get()[0] == 200
        switch(proxy, "serving", target.address)
        hits = upstreams[turn % 2].hits
        assert all(proxy.get()[2] == target.name for _time in range(5)) and upstreams[turn % 2].hits == hits
        assert not switch(proxy, "serving", target.address)["changed"]
    print(f"cut off {cut} of {KILLS}")
    assert cut, "no kill came in time"


def test_two_at_once_come_one_after_the_other(proxy, upstreams):
    for _turn in range(3):
        both = [started(proxy, target) for target in upstreams]
        assert [one.wait(20) for one in both] == [0, 0]
        told = nginx.parse(proxy.file.read_text())
        site = proxy.site
        assert told == site.ask() and proxy.accepts()


def test_it_takes_less_than_the_time_it_has(proxy, upstreams):
    """Its own time; ssh and the start of Ansible's module come on top."""
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip("this machine is too busy for a time to say anything")
    took = []
    for turn in range(5):
        begun = time.monotonic()
        switch(proxy, "serving", upstreams[(turn + 1) % 2].address)
        took.append(time.monotonic() - begun)
    print(f"seconds: {', '.join(f'{one:.3f}' for one in took)}")
    assert sorted(took)[len(took) // 2] <= 0.4
