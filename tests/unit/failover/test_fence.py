# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fence on files and processes; with units it is tested on real hosts (tests/lab/test_fencing.py)."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch, fence, grant, lease
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import fencing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config, Witness
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.witness import Answer


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A host without units, which has epoch 3 granted."""
    storage = tmp_path / "storage"
    storage.mkdir(mode=0o750)
    with closing(sqlite3.connect(storage / "learning.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    if os.geteuid() == 0:
        os.chown(storage, 1234, 1234)
        os.chown(storage / "learning.db", 1234, 1234)
    made = Config(
        "tutor1",
        database=str(storage / "learning.db"),
        witnesses=(Witness("w", "127.0.0.1", 1),),
        state_dir=tmp_path / "state",
        run_dir=tmp_path / "run",
    )
    epoch.raise_to(made.state_dir, epoch.Record(3, "tutor1", "now"))
    grant.write(made.run_dir, 3, "run")
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def killed_after(steps: int, how: type[BaseException]) -> Callable[[], None]:
    """Return what raises when it is called for that many times."""
    left = iter(range(steps - 1, -1, -1))

    def alive() -> None:
        if not next(left):
            raise how

    return alive


def holder(config: Config) -> subprocess.Popen:
    code = (
        f"import sqlite3, time; c = sqlite3.connect({config.database!r}); c.execute('SELECT * FROM t').fetchall(); "
        "print('open', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "open\n"
    return process


def test_fence_ends_who_has_the_database_open_and_shuts_it(config):
    storage = Path(config.database).parent
    with holder(config) as process:
        assert fence.observe(config).state == "granted" and process.pid in fence.observe(config).holders
        fence.Fencing(config).fence(3, "run", "test")
        assert process.wait(5) == -9
    seen = fence.observe(config)
    assert seen.state == "fenced" and seen.fenced and seen.fenced.epoch == 3
    assert mode(storage) == 0 and not (config.run_dir / grant.NAME).exists()
    again = fence.Fencing(config)
    again.fence(3, "run", "test")
    assert again.evidence == [], "a second run finds nothing to do"
    fence.Fencing(config).unfence(3)
    assert mode(storage) == 0o750 and fence.observe(config).state == "unfenced"


def test_a_look_that_takes_long_does_not_use_up_the_time_to_die(config, monkeypatch):
    """On a host with many processes: who has it open is killed before it is told that SIGKILL did not help."""
    look, clock, late = fence.holders, time.monotonic, [0.0]

    def slow(path: Path) -> list[int]:
        found = list(look(path))
        late[0] = 10 * fence.KILL_SECONDS
        return found

    with holder(config) as process:
        monkeypatch.setattr(fence, "holders", slow)
        monkeypatch.setattr(fence.time, "monotonic", lambda: clock() + late[0])
        fence.Fencing(config).fence(3, "run", "test")
        assert process.wait(5) == -9


def test_a_fence_is_not_lifted_with_an_older_epoch(config):
    fence.Fencing(config).fence(5, "run", "test")
    for act in (lambda: fence.Fencing(config).unfence(4), lambda: fence.Fencing(config).grant(4, "run")):
        with pytest.raises(OpsError, match="epoch 5"):
            act()
    assert fence.observe(config).state == "fenced"
    fence.Fencing(config).fence(4, "run", "older")
    fenced = fence.read(config.state_dir)
    assert fenced and fenced.epoch == 5, "a fence never goes back either"
    fence.Fencing(config).unfence(5)


def test_only_the_epoch_of_the_record_is_granted_and_only_to_its_primary(config):
    for wrong in (2, 4):
        with pytest.raises(OpsError, match=r"epoch"):
            fence.Fencing(config).grant(wrong, "run")
    epoch.raise_to(config.state_dir, epoch.Record(4, "tutor2", "now"))
    with pytest.raises(OpsError, match="epoch 4 of tutor2"):
        fence.Fencing(config).grant(4, "run")


def test_killed_between_any_two_steps_the_next_run_completes(config):
    """Each step in turn is the last that was done; FENCED is there from the first on, the grant until the last."""
    storage = Path(config.database).parent

    class Killed(BaseException):
        pass

    for steps in range(1, 6):
        with pytest.raises(Killed):
            fence.Fencing(config, killed_after(steps, Killed)).fence(3, "run", "test")
        seen = fence.observe(config)
        assert seen.state == "half" and seen.granted, "what is not done must not look done"
        fence.Fencing(config).fence(3, "run", "again")
        assert fence.observe(config).state == "fenced" and mode(storage) == 0
        fence.Fencing(config).grant(3, "run")
        assert fence.observe(config).state == "granted" and mode(storage) == 0o750


def test_the_lease_completes_a_half_fence(config):
    (config.state_dir / fence.NAME).write_text(json.dumps({"epoch": 3}))
    assert fence.observe(config).state == "half"
    assert lease.Lease(config).turn() == "fenced"
    assert fence.observe(config).state == "fenced"


def test_a_damaged_fence_fences(config):
    (config.state_dir / fence.NAME).write_text("")
    with pytest.raises(OpsError, match="cannot be read"):
        fence.Fencing(config).grant(3, "run")
    assert lease.Lease(config).turn() == "fenced"


def test_a_damaged_grant_is_no_grant(config):
    (config.run_dir / grant.NAME).write_text("{")
    assert lease.Lease(config).turn() == "fenced"


def test_a_lease_that_comes_back_too_late_fences_before_it_asks(config):
    (config.run_dir / grant.NAME).write_text(json.dumps({"epoch": 3, "boottime": grant.boottime() - config.ttl - 1}))
    assert lease.Lease(config).turn() == "fenced"
    assert json.loads((config.run_dir / lease.STATUS).read_text())["answers"] == {}


@pytest.mark.parametrize("late", [True, False])
def test_a_host_that_stood_still_kills_before_it_fences(config, tmp_path, monkeypatch, late):
    """Within its bound the application may end by itself; after it another host may serve, and nothing is waited for."""
    config = replace(config, units=("app.service",))
    at = grant.boottime() - (config.bound if late else config.ttl) - 0.5
    (config.run_dir / grant.NAME).write_text(json.dumps({"epoch": 3, "boottime": at}))
    monkeypatch.setattr(fence, "GROUPS", tmp_path)
    monkeypatch.setattr(fence.Fencing, "fence", lambda self, *_words, **_options: True)
    (tmp_path / "app.service").mkdir()
    with subprocess.Popen(["sleep", "600"]) as process:
        (tmp_path / "app.service" / "cgroup.procs").write_text(f"{process.pid}\n")
        assert lease.Lease(config).turn() == "fenced"
        said = json.loads((config.run_dir / lease.STATUS).read_text())["reason"]
        assert ("killed app.service at once (1 processes)" in said) == late
        if not late:
            process.kill()
        assert process.wait(5) == -9


class Alone:
    """A host that its own lease has fenced, and a clock and witnesses for it; epoch 3 is its own."""

    def __init__(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = replace(config, policy="quorum")
        self.now = grant.boottime()
        self.seen: epoch.Record | None = None
        monkeypatch.setattr(lease, "boottime", lambda: self.now)
        monkeypatch.setattr(lease, "ask", lambda *_words: [Answer("w", self.seen)])
        old = json.dumps({"epoch": 3, "boottime": self.now - config.ttl - 1})
        (config.run_dir / grant.NAME).write_text(old)
        self.lease = lease.Lease(self.config)
        assert self.lease.turn() == "fenced"

    def turns(self, seen: epoch.Record | None, seconds: float) -> str:
        """Return how a turn ends after so many seconds in which the witnesses say the same."""
        self.seen = seen
        first = self.lease.turn()
        self.now += seconds
        return first if first != "fenced" else self.lease.turn()


MINE = epoch.Record(3, "tutor1", "now")


def test_a_host_that_fenced_itself_serves_again_when_a_quorum_has_agreed_for_long_enough(config, monkeypatch):
    host = Alone(config, monkeypatch)
    assert host.turns(None, config.ttl) == "fenced"
    assert host.turns(MINE, config.ttl - 0.1) == "fenced", "not at once: a network that comes and goes"
    assert host.turns(None, config.ttl) == host.turns(MINE, config.ttl - 0.1) == "fenced", "without a break"
    asked = host.now
    assert host.turns(MINE, 0.2) == "renew"
    held = grant.read(config.run_dir)
    assert held and held.epoch == 3 and asked <= held.boottime <= host.now, "it counts from when they were asked"
    assert fence.observe(config).state == "granted" and mode(Path(config.database).parent) == 0o750
    assert host.lease.turn() == "renew"


@pytest.mark.parametrize(
    "seen", [epoch.Record(4, "tutor2", "now"), epoch.Record(3, "tutor2", "now"), epoch.Record(2, "tutor1", "now")]
)
def test_it_does_not_while_the_witnesses_say_otherwise(config, monkeypatch, seen):
    host = Alone(config, monkeypatch)
    assert host.turns(seen, config.ttl + 1) == "fenced"
    assert fence.observe(config).state == "fenced"
    if seen.epoch > 3:
        assert host.turns(MINE, config.ttl + 1) == "fenced", "it has learned of the other one, whoever says what later"


def test_what_a_run_fenced_stays_fenced(config, monkeypatch):
    """Also what the host had fenced itself before: the run reads the last change off it."""
    host = Alone(config, monkeypatch)
    fence.Fencing(config).fence(3, "run", "switchover")
    fenced = fence.read(config.state_dir)
    assert fenced and (fenced.run_id, fenced.epoch) == ("run", 3) and fenced.closed
    assert host.turns(MINE, config.ttl + 1) == "fenced"
    fence.Fencing(config).grant(3, "run")
    assert mode(Path(config.database).parent) == 0o750


def test_to_take_over_a_fence_of_its_own_is_a_change_once(config, monkeypatch):
    host = Alone(config, monkeypatch)
    names = ("host", "database", "state_dir", "run_dir")
    options = {name: str(getattr(host.config, name)) for name in names}
    asked = {**options, "config": "/none", "units": None, "stop_timeout": None, "state": "fenced", "epoch": None}
    asked |= {"run_id": "run", "reason": "", "start": []}
    assert [fencing(asked, False)["changed"] for _turn in range(2)] == [True, False]


def test_a_run_that_fences_meanwhile_wins(config, monkeypatch):
    host = Alone(config, monkeypatch)
    real = fence.Fencing.serve_again

    def late(self: fence.Fencing, *words: object) -> bool:
        fence.Fencing(config).fence(3, "run", "switchover")
        return real(self, *words)

    monkeypatch.setattr(fence.Fencing, "serve_again", late)
    assert host.turns(MINE, config.ttl + 1) == "fenced"
    assert fence.observe(config).state == "fenced"


def test_killed_between_its_grant_and_the_end_of_its_fence_it_begins_anew(config, monkeypatch):
    class Killed(BaseException):
        pass

    def die(_self):
        raise Killed

    host = Alone(config, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(fence.Fencing, "_unfence", die)
        with pytest.raises(Killed):
            host.turns(MINE, config.ttl + 1)
    assert fence.observe(config).state == "half", "what is not done must not look done"
    assert host.lease.turn() == "fenced" and fence.observe(config).state == "fenced"
    assert host.turns(MINE, config.ttl + 1) == "renew" and fence.observe(config).state == "granted"


def test_only_the_policy_quorum_lets_it_serve_again(config, monkeypatch):
    host = Alone(config, monkeypatch)
    host.lease.config = replace(host.config, policy="manual")
    assert host.turns(MINE, config.ttl + 1) == "fenced"


def test_the_lease_leaves_a_grant_alone_that_came_while_it_asked(config, monkeypatch):
    """The next epoch is this host's again: raised at the witness while the old grant is held, granted before the answer."""
    newer = epoch.Record(4, "tutor1", "now")

    def ask(_witnesses, _seconds):
        epoch.raise_to(config.state_dir, newer)
        fence.Fencing(config).grant(4, "run")
        return [Answer("w", newer)]

    holding = lease.Lease(config)
    monkeypatch.setattr(lease, "ask", ask)
    assert holding.turn() == "hold" and fence.observe(config).state == "granted"
    assert holding.turn() == "renew"


def test_a_full_disk_does_not_keep_it_serving(config, monkeypatch):
    """FENCED cannot be written: the grant goes at once, which is enough, and the run fails and says why."""
    real = fence.durable.write

    def full(path: Path, text: str, **options: bool) -> None:
        if path.name == fence.NAME:
            raise OSError(28, "No space left on device")
        real(path, text, **options)

    monkeypatch.setattr(fence.durable, "write", full)
    with pytest.raises(OpsError, match="No space left"):
        fence.Fencing(config).fence(3, "run", "test")
    assert not (config.run_dir / grant.NAME).exists()
