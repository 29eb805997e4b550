# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replication on two real hosts: what arrives on the standby's disk, and what is found when it does not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lab
import pytest
from faults import DATABASE, sh, wait_healthy
from runs import ansible

NETS = range(65, 70)
PRIMARY, STANDBY = "tutor1", "tutor2"
UNIT = "tutor-ops-replication.service"
LITESTREAM = Path(sys.executable).with_name("litestream")
REPLICA = "/srv/tutor-ops-replica/data/epoch-0001"
ETC = "/etc/tutor-ops/replication"
BINARY = "/usr/local/lib/tutor-ops/litestream"
PLAY_SECONDS = 240.0
pytestmark = [
    pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had"),
    pytest.mark.timeout(600),  # a role takes minutes on a busy machine
]
LEFT_OUT = "" if os.environ.get("LAB_FAILOVER") else "minutes together, asked for with LAB_FAILOVER=1"
long = pytest.mark.skipif(bool(LEFT_OUT), reason=LEFT_OUT or "asked for")


class Bench:
    """Two hosts, and ways to run the playbook and single modules on them."""

    def __init__(self, directory: Path, ours: lab.Lab) -> None:
        self.directory = directory
        self.primary, self.standby = ours.host(PRIMARY), ours.host(STANDBY)
        text = ours.inventory([PRIMARY, STANDBY])
        inventory = text.replace(
            "        tutor_standby:\n", f"        tutor_standby:\n          hosts:\n            {STANDBY}:\n"
        )
        assert inventory != text
        (directory / "hosts.yml").write_text(inventory)
        self.address = self.standby.address
        self.hash = hashlib.sha256(LITESTREAM.read_bytes()).hexdigest()

    def ansible(self, playbook: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook; its output is shown by a test that fails."""
        done = ansible(self.directory, playbook, *words, seconds=PLAY_SECONDS)
        print(done.stdout + done.stderr)
        return done

    def role(self, *words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook of the replication."""
        told = {
            "replication_litestream_binary": str(LITESTREAM),
            "replication_litestream_sha256": self.hash,
            **settings,
        }
        return self.ansible("bilingual_tutor.ops.replication", "-e", json.dumps(told), *words)

    def module(self, host: str, module: str, **options: Any) -> dict[str, Any]:
        """Run one task; return the result of the module."""
        result = self.directory / "result.json"
        result.unlink(missing_ok=True)
        keep = {"content": "{{ done | to_json }}", "dest": str(result)}
        block = [{f"bilingual_tutor.ops.{module}": options, "register": "done"}]
        always = [{"ansible.builtin.copy": keep, "delegate_to": "localhost"}]
        play = [{"hosts": host, "gather_facts": False, "tasks": [{"block": block, "always": always}]}]
        (self.directory / "play.json").write_text(json.dumps(play))
        self.ansible(str(self.directory / "play.json"))
        return dict(json.loads(result.read_text()))

    def look(self, side: str = "primary") -> dict[str, int]:
        """Run the probe on one side; return the status of each check."""
        probe: dict[str, Any] = {"kind": "replication", "side": side, "replica": REPLICA}
        if side == "primary":
            probe.update(
                path=DATABASE, replica="/data/epoch-0001", host=self.address, user="tutor-replica",
                key=f"{ETC}/key", known_hosts=f"{ETC}/known_hosts",
            )  # fmt: skip
        found = self.module(PRIMARY if side == "primary" else STANDBY, "service_health", probes=[probe])["checks"]
        for check in found:
            print(check["id"], check["status"], check["summary"])
        return {check["id"]: check["status"] for check in found}

    def learn(self, word: str, count: int = 1) -> None:
        """Write words to the primary's database as its owner."""
        values = ", ".join(f"('{word}{number}', '词', 'english', 'CET-4')" for number in range(count))
        insert = f"INSERT INTO vocabulary (word, meaning, language, level) VALUES {values}"
        sh(self.primary, f"sudo -u bilingual-tutor sqlite3 {DATABASE} \"{insert}\" '.timeout 5000'")

    def proof(self) -> dict[str, Any]:
        """Pin a moment of the primary and compare the standby's replica with it; return the check."""
        pinned = self.module(PRIMARY, "replica_verify", state="pin", path=DATABASE, service="bilingual-tutor.service")
        assert pinned.get("ok"), pinned
        options = {"moment": pinned["moment"], "replica": REPLICA, "binary": BINARY}
        compared = self.module(STANDBY, "replica_verify", state="compare", **options)
        assert not compared.get("failed"), compared
        print(f"write lock held {pinned['moment']['stall']} s; {compared['checks'][0]['summary']}")
        return dict(compared["checks"][0])


def wait(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def recap(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[int, int]]:
    """Return how many tasks changed and failed on each host."""
    found = re.findall(r"^(\w+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=\d+\s+failed=(\d+)", done.stdout, re.MULTILINE)
    return {host: (int(changed), int(failed)) for host, changed, failed in found}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two hosts on which the role has run once."""
    with lab.Lab.reserved(NETS) as ours:
        ours.up([PRIMARY, STANDBY], fresh=True)
        made = Bench(tmp_path_factory.mktemp("replication"), ours)
        for host in (made.primary, made.standby):
            wait_healthy(host)
        if not LEFT_OUT:
            wrong = made.role(replication_litestream_sha256="0" * 64)
            assert wrong.returncode != 0 and "expected replication_litestream_sha256" in wrong.stdout
            planned = made.role("--check")
            assert planned.returncode == 0, "check mode works before anything is there"
            assert sh(made.primary, f"ls -d {ETC} /usr/local/lib/tutor-ops 2>/dev/null || echo nothing") == "nothing"
        done = made.role()
        print(made.primary.run("journalctl", "-q", "-n", "30", "-u", UNIT, check=False).stdout)
        assert done.returncode == 0
        yield made


def state(host: lab.Host) -> str:
    return host.run("systemctl", "is-active", UNIT, check=False).stdout.strip()


@long
def test_a_second_run_and_check_mode_change_nothing(bench: Bench) -> None:
    pid = sh(bench.primary, f"systemctl show -P MainPID {UNIT}")
    for words in ((), ("--check",)):
        done = bench.role(*words)
        assert done.returncode == 0 and {host: changed for host, (changed, _failed) in recap(done).items()} == {
            "localhost": 0,  # the guard of the playbook
            PRIMARY: 0,
            STANDBY: 0,
        }
    assert sh(bench.primary, f"systemctl show -P MainPID {UNIT}") == pid
    assert state(bench.primary) == "active" and state(bench.standby) == "inactive"


def test_it_arrives_and_is_the_same(bench: Bench) -> None:
    """Rows written now are on the standby's disk; both sides find nothing; what is restored there is equal."""
    bench.learn("arrives", 50)
    assert set(bench.look().values()) == {0}
    assert set(bench.look("standby").values()) == {0}
    assert bench.proof()["status"] == 0
    copy = "/var/tmp/restored.db"
    sh(bench.standby, f"rm -f {copy}; {BINARY} restore -o {copy} file://{REPLICA} 2>&1")
    words = "SELECT count(*) FROM vocabulary WHERE word LIKE 'arrives%'"
    assert sh(bench.standby, f'sqlite3 {copy} "{words}"') == "50"


def test_the_unit_is_shut_in(bench: Bench) -> None:
    """It runs as the application's user, and may write beside the database only."""
    pid = sh(bench.primary, f"systemctl show -P MainPID {UNIT}")
    assert sh(bench.primary, f"stat -c %U /proc/{pid}") == "bilingual-tutor"
    assert "NoNewPrivs:\t1" in sh(bench.primary, f"cat /proc/{pid}/status")
    assert "CapEff:\t0000000000000000" in sh(bench.primary, f"cat /proc/{pid}/status")
    assert sh(bench.primary, f"systemctl show -P TimeoutStopUSec {UNIT}") == "5min 30s"
    exposure = sh(bench.primary, f"systemd-analyze security --no-pager {UNIT} | tail -1")
    print(exposure)
    assert "OK" in exposure


@long
def test_the_receiver_can_do_nothing_but_sftp_below_its_directory(bench: Bench) -> None:
    ssh = (
        f"-i {ETC}/key -oBatchMode=yes -oStrictHostKeyChecking=yes -oUserKnownHostsFile={ETC}/known_hosts "
        "-oGlobalKnownHostsFile=/dev/null"
    )
    there = f"tutor-replica@{bench.address}"
    assert "epoch-0001" in sh(bench.primary, f"echo 'ls -1 /data' | sftp -q -b - {ssh} {there}")
    for command in (
        f"ssh {ssh} {there} id",
        f"echo 'get /etc/passwd /tmp/x' | sftp -q -b - {ssh} {there}",
        f"echo 'put /etc/hostname /x' | sftp -q -b - {ssh} {there}",
        f"ssh {ssh} -oExitOnForwardFailure=yes -W 127.0.0.1:22 {there}",
        f"ssh {ssh} root@{bench.address} id",
    ):
        answer = bench.primary.run(
            "timeout", "10", "sh", "-c", command + " </dev/null" * ("|" not in command), check=False
        )
        assert answer.returncode not in (0, 124), command
        assert "uid=" not in answer.stdout


@long
def test_stopped_and_killed_it_is_found_and_comes_back(bench: Bench) -> None:
    sh(bench.primary, f"systemctl stop {UNIT}")
    found = bench.look()
    assert found["replication.daemon"] == 2
    sh(bench.primary, f"systemctl start {UNIT}")
    sh(bench.primary, f"systemctl kill -s KILL {UNIT}")
    wait(lambda: state(bench.primary) == "active", "systemd starts it again")
    bench.learn("killed")
    wait(lambda: set(bench.look().values()) == {0}, "it goes on", 60)
    assert bench.proof()["status"] == 0


@long
def test_a_hanging_daemon_is_lag(bench: Bench) -> None:
    sh(bench.primary, f"systemctl kill -s STOP {UNIT}")
    try:
        bench.learn("hangs")
        found = bench.look()
        assert found["replication.lag"] == 2 and found["replication.daemon"] == 0
    finally:
        sh(bench.primary, f"systemctl kill -s CONT {UNIT}")
    wait(lambda: set(bench.look().values()) == {0}, "it goes on", 60)


@long
def test_lost_files_are_found_on_the_standby(bench: Bench) -> None:
    """Only the newest change is left: nothing to begin a restore with. A running Litestream would soon send a whole one."""
    sh(bench.primary, f"systemctl stop {UNIT}")
    lose = "newest=$(ls 0 | tail -1); cp -rp . /var/tmp/kept; find . -name '*.ltx' ! -path ./0/$newest -delete"
    sh(bench.standby, f"cd {REPLICA}/ltx; {lose}")
    try:
        assert bench.look("standby")["replication.replica"] == 2
    finally:
        sh(bench.standby, f"cp -rp /var/tmp/kept/. {REPLICA}/ltx/")
    assert bench.look("standby")["replication.replica"] == 0
    sh(bench.primary, f"systemctl start {UNIT}")


@long
def test_another_host_key_is_refused(bench: Bench) -> None:
    """A host that took the standby's address gets nothing, and the probe does not believe it either."""
    key = "/etc/ssh/ssh_host_ed25519_key"
    sh(bench.standby, f"mkdir /var/tmp/keys; cp -p {key} {key}.pub /var/tmp/keys/")
    sh(bench.standby, f"rm {key} {key}.pub; ssh-keygen -q -t ed25519 -N '' -f {key}; systemctl restart ssh")
    try:
        sh(bench.primary, f"systemctl restart {UNIT}")
        bench.learn("refused")
        before = sh(bench.standby, f"ls {REPLICA}/ltx/0 | sort | tail -1")
        wait(
            lambda: "ssh: handshake failed" in sh(bench.primary, f"journalctl -q -u {UNIT} -n 20 -o cat"),
            "Litestream refuses the host key",
        )
        found = bench.look()
        assert found["replication.replica"] == found["replication.lag"] == 2
        assert sh(bench.standby, f"ls {REPLICA}/ltx/0 | sort | tail -1") == before
    finally:
        sh(bench.standby, "cp -p /var/tmp/keys/* /etc/ssh/; systemctl restart ssh")
    sh(bench.primary, f"systemctl restart {UNIT}")
    wait(lambda: set(bench.look().values()) == {0}, "it goes on with the right one", 60)
    assert bench.proof()["status"] == 0


def test_a_fenced_host_does_not_replicate(bench: Bench) -> None:
    sh(bench.primary, f"systemctl stop {UNIT}; mkdir -p /var/lib/tutor-ops; touch /var/lib/tutor-ops/FENCED")
    assert bench.primary.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert state(bench.primary) != "active"
    sh(bench.primary, f"rm /var/lib/tutor-ops/FENCED; systemctl start {UNIT}")


@long
def test_a_new_epoch_is_another_replica_and_there_is_no_way_back(bench: Bench) -> None:
    assert bench.role(replication_epoch=2).returncode == 0
    second = REPLICA.replace("0001", "0002")
    wait(lambda: "9" in sh(bench.standby, f"ls {second}/ltx 2>/dev/null || true").split(), "the second replica")
    back = bench.role(replication_epoch=1)
    assert back.returncode != 0 and "Expected 0 (as it is) or a higher one" in back.stdout
    assert bench.role().returncode == 0
    assert sh(bench.primary, f"cat {ETC}/epoch") == "REPLICATION_EPOCH=0002"


@long
def test_it_follows_the_epoch(bench: Bench) -> None:
    """The other host serves by now, whatever the inventory says: it sends, and the first one receives."""
    record = '{"epoch": 7, "primary": "%s", "since": "2026-11-23T02:00:00Z"}'
    write = f"mkdir -p /var/lib/tutor-ops; echo '{record}' > /var/lib/tutor-ops/epoch.json"
    hosts = (bench.primary, bench.standby)
    try:
        for host in hosts:
            sh(host, write % STANDBY)
        assert bench.role(replication_epoch=7).returncode == 0
        assert [state(host) for host in hosts] == ["inactive", "active"]
        assert [sh(host, f"systemctl is-enabled {UNIT} || true") for host in hosts] == ["disabled", "enabled"]
        wait(lambda: "9" in sh(bench.primary, f"ls {REPLICA.replace('0001', '0007')}/ltx").split(), "the replica of 7")
        for host in hosts:
            sh(host, write % "tutor9")
        stranger = bench.role()
        assert stranger.returncode != 0 and "tutor9 serves in epoch 7" in stranger.stdout
    finally:
        for host in hosts:
            sh(host, "rm /var/lib/tutor-ops/epoch.json")
    assert bench.role().returncode == 0
    assert [state(host) for host in hosts] == ["active", "inactive"]


@long
def test_taken_away_nothing_is_left_but_the_replicas(bench: Bench) -> None:
    """Last: it takes away what the others need."""
    assert bench.role(replication_state="absent", replication_purge=True).returncode == 0
    for host in (bench.primary, bench.standby):
        left = f"{ETC} {BINARY} /etc/systemd/system/{UNIT} /etc/ssh/tutor-ops-replica.keys /srv/tutor-ops-replica"
        assert sh(host, f"ls -d {left} 2>/dev/null || echo nothing") == "nothing"
        assert sh(host, "id tutor-replica 2>/dev/null || echo nobody") == "nobody"
        wait_healthy(host)
    again = bench.role(replication_state="absent", replication_purge=True)
    assert {changed for changed, _failed in recap(again).values()} == {0}
