# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a failover on real hosts: units, sftp, users. What they prove of the content is tried without a lab.

``LAB_FAILOVER=1 PROMOTE_KILLS=30 pytest tests/lab/test_promote.py -s`` kills quiesce 30 times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from typing import Any

import lab
import pytest
from failover_site import APPLICATION, DATABASE, NAMES, PROXY, REPLICATION, WITNESSES, FailoverSite, cut
from faults import APP, sh
from runs import ROOT

NETS = range(73, 75)
KILLS = int(os.environ.get("PROMOTE_KILLS", "4"))
PRIMARY, STANDBY = APPLICATION
# A quarter of that on a machine that does nothing else.
LAY_OUT_SECONDS = 600.0
STORAGE = os.path.dirname(DATABASE)
TREE = "/root/tree"
PACKAGE = "ansible_collections/bilingual_tutor/ops/plugins/module_utils"
# The host's own Python runs what the module runs, in a process that can be killed from here.
CODE = f"""
import json, sys
sys.path.insert(0, {TREE!r})
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.{{where}}.run import {{what}}
print(json.dumps({{what}}(json.load(open("/root/options.json")), False, lambda *_nothing: None)))
"""
LEFT_OUT = "" if os.environ.get("LAB_FAILOVER") else "part of the failover, asked for with LAB_FAILOVER=1"
pytestmark = pytest.mark.skipif(bool(lab.why_not() or LEFT_OUT), reason=lab.why_not() or LEFT_OUT or "a lab can be had")


class Steps:
    """A site, and the modules one at a time."""

    def __init__(self, site: FailoverSite) -> None:
        self.site, self.marks = site, 0
        self.primary, self.standby = site.hosts[PRIMARY], site.hosts[STANDBY]

    def module(self, host: str, module: str, /, *words: str, **options: Any) -> dict[str, Any]:
        """Run one task; return the result of the module."""
        result = self.site.directory / "result.json"
        result.unlink(missing_ok=True)
        keep = {"content": "{{ done | to_json }}", "dest": str(result)}
        always = [{"ansible.builtin.copy": keep, "delegate_to": "localhost", "check_mode": False, "diff": False}]
        block = [{f"bilingual_tutor.ops.{module}": options, "register": "done"}]
        play = [{"hosts": host, "gather_facts": False, "tasks": [{"block": block, "always": always}]}]
        path = self.site.directory / "play.json"
        path.write_text(json.dumps(play))
        done = self.site.play(str(path), *words)
        assert result.exists(), done.stdout + done.stderr
        return dict(json.loads(result.read_text()))

    def mark(self, count: int) -> int:
        """Have the application commit some rows; return how many it has acknowledged in all."""
        posts = "; ".join(
            f"curl -sf -m 5 -o /dev/null -X POST 'http://127.0.0.1:5000/api/marks?id=promote-{self.marks + number}'"
            for number in range(count)
        )
        sh(self.primary, f"set -e; {posts}")
        self.marks += count
        return self.marks

    def marked(self, host: lab.Host) -> int:
        """Count these rows in the database of a fenced host."""
        query = "SELECT count(*) FROM marks WHERE id LIKE 'promote-%'"
        return int(sh(host, f"sqlite3 'file:{DATABASE}?immutable=1' \"{query}\""))

    def foreign(self, host: lab.Host) -> str:
        """Return what lies in the database's directory and is not the application's."""
        return sh(host, f"find {STORAGE} ! -user bilingual-tutor")

    def grant(self) -> None:
        """Let the primary serve again in the epoch it has."""
        epoch = self.site.record(PRIMARY)["epoch"]
        granted = self.module(PRIMARY, "ops_fence", state="granted", epoch=epoch, start=[APP, REPLICATION])
        assert granted["after"]["state"] == "granted", granted
        self.site.wait_serving(PRIMARY)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steps]:
    """The site with tutor1 serving and tutor2 receiving."""
    with lab.Lab.reserved(NETS) as ours:
        site = FailoverSite(ours, tmp_path_factory.mktemp("promote"))
        try:
            site.up(lay_out=False)
            done = site.play("bilingual_tutor.ops.standby", seconds=LAY_OUT_SECONDS)
            assert done.returncode == 0, cut(done)
            yield Steps(site)
        except BaseException:
            print(site.tell())
            raise


def test_every_host_can_be_looked_at(steps: Steps) -> None:
    """Nothing is missing and nothing is wrong; the pairs that have to be equal are; and it leaves nothing behind."""
    steps.mark(5)
    seen = {}
    for name in NAMES:
        peers = [{"name": other, "address": steps.site.hosts[other].address} for other in NAMES if other != name]
        for peer in peers:
            if peer["name"] in APPLICATION:
                peer["url"] = f"http://{peer['address']}/health"
        options = {"database": DATABASE, "service": APP} if name in APPLICATION else {}
        seen[name] = steps.module(name, "failover_look", host=name, peers=peers, **options)["look"]
        print(f"{name}: {json.dumps(seen[name])}")
        assert seen[name]["errors"] == {}, name
        assert seen[name]["epoch"]["primary"] == PRIMARY
        assert all(peer["ssh"] == "ok" for peer in seen[name]["peers"]), seen[name]["peers"]
    first, second = seen[PRIMARY], seen[STANDBY]
    assert first["fence"]["state"] == "granted" and second["fence"]["state"] == "fenced"
    assert first["lease"]["state"] == "renew" and first["lease"]["age"] < 4
    assert first["database"]["quick"] == "ok" and first["database"]["journal_mode"] == "wal"
    assert first["database"]["owner"] == second["database"]["owner"] == "bilingual-tutor"
    for what in ("version", "packages", "python", "sqlite"):
        assert first["application"][what] == second["application"][what], what
    assert first["replication"]["running"] and not second["replication"]["running"]
    assert first["replication"]["lag"]["seconds"] < 5
    assert second["replica"]["epoch"] == first["replication"]["epoch"] and second["replica"]["chain_unbroken"]
    assert seen[PROXY]["proxy"]["mode"] == "serving" and seen[PROXY]["proxy"]["upstream"] == steps.primary.address
    assert seen[PROXY]["proxy"]["config_ok"]
    assert [seen[name]["proxy"] for name in WITNESSES] == [None, None]
    http = {peer["name"]: peer["http"] for peer in seen[PROXY]["peers"]}
    assert http[PRIMARY] == 200 and http[STANDBY] in (502, 503), http
    assert steps.foreign(steps.primary) == "" == steps.foreign(steps.standby)


def test_quiesce_and_promote_and_back(steps: Steps) -> None:
    """Over sftp, with units: nothing acknowledged is lost, no file is root's, and all of it can be taken back."""
    epoch = steps.site.record(PRIMARY)["epoch"]
    run = {"run_id": "hand-1"}
    planned = steps.module(PRIMARY, "ops_quiesce", "--check", "--diff", epoch=epoch, **run)
    assert planned["changed"] and steps.mark(20) == 25
    quiesced = steps.module(PRIMARY, "ops_quiesce", epoch=epoch, **run)
    assert quiesced.get("synced"), quiesced
    print(f"quiesce {quiesced['duration_ms']} ms, {quiesced['evidence']}")
    assert steps.foreign(steps.primary) == "" and steps.marked(steps.primary) == steps.marks
    assert sh(steps.primary, f"ls -A {STORAGE} | grep -c -e -wal -e -shm || true") == "0"
    again = steps.module(PRIMARY, "ops_quiesce", epoch=epoch, **run)
    assert not again["changed"] and again["digest"] == quiesced["digest"]
    before = sh(steps.standby, f"cd {STORAGE}; sha256sum learning.db; cat /etc/tutor-ops/replication/epoch")
    handed_on = {name: quiesced[name] for name in ("txid", "digest")}
    options = {"state": "placed", "epoch": epoch + 1, **handed_on, **run}
    placed = steps.module(STANDBY, "ops_promote", **options)
    assert placed.get("changed"), placed
    print(f"promote {placed['duration_ms']} ms, {placed['steps']}, {placed['evidence']}")
    assert steps.foreign(steps.standby) == "" and steps.marked(steps.standby) == steps.marks
    assert not steps.module(STANDBY, "ops_promote", **options)["changed"]
    undone = steps.module(STANDBY, "ops_promote", state="undone", **run)
    assert undone.get("changed"), undone
    assert sh(steps.standby, f"cd {STORAGE}; sha256sum learning.db; cat /etc/tutor-ops/replication/epoch") == before
    steps.grant()
    steps.mark(3)


def test_killed_at_any_moment_the_next_call_completes_it(steps: Steps) -> None:
    """Quiesce, with the units of the host."""
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    for host in (steps.primary, steps.standby):
        there = host.root / TREE[1:] / PACKAGE
        shutil.copytree(ROOT / "plugins" / "module_utils", there, ignore=shutil.ignore_patterns("__pycache__"))
    epoch = steps.site.record(PRIMARY)["epoch"]
    call = CODE.format(where="quiesce", what="quiesce")
    (steps.primary.root / "root" / "call.py").write_text(call)
    found: dict[str, int] = {}
    longest = 2.5
    for number in range(KILLS):
        options = {
            "run_id": f"kill-{number}", "epoch": epoch, "reason": "test", "sync": True, "deadline": 50.0,
            "binary": "/usr/local/lib/tutor-ops/litestream", "config": "/etc/tutor-ops/fencing.json",
            "replication_config": "/etc/tutor-ops/replication/litestream.yml",
            "replication_epoch_file": "/etc/tutor-ops/replication/epoch",
            **dict.fromkeys(("database", "host", "units", "stop_timeout", "state_dir", "run_dir")),
        }  # fmt: skip
        (steps.primary.root / "root" / "options.json").write_text(json.dumps(options))
        steps.mark(5)
        moment = dice.uniform(0.1, longest)
        sh(
            steps.primary,
            f"python3 /root/call.py >/dev/null 2>&1 & sleep {moment:.3f}; kill -KILL $! 2>/dev/null || true; wait $! || true",
        )
        begun = time.monotonic()
        done = json.loads(sh(steps.primary, "python3 /root/call.py"))
        longest = max(1.0, min(longest, 1.3 * (time.monotonic() - begun)))
        state = done["before"]["state"]
        found[state] = found.get(state, 0) + 1
        assert done["synced"] and done["after"]["state"] == "fenced", f"seed {seed}"
        assert steps.foreign(steps.primary) == "" and steps.marked(steps.primary) == steps.marks, f"seed {seed}"
        steps.grant()
    print(f"seed {seed}: {KILLS} kills left the host {found}")
    quiesced = steps.module(PRIMARY, "ops_quiesce", epoch=epoch, run_id="last")
    handed_on = {name: quiesced[name] for name in ("txid", "digest")}
    placed = steps.module(STANDBY, "ops_promote", state="placed", run_id="last", epoch=epoch + 1, **handed_on)
    assert placed["changed"] and steps.marked(steps.standby) == steps.marks, placed
