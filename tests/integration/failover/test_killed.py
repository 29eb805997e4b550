# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at random moments: the old or the new state is there, and the next call completes it.

``FAILOVER_KILLS=30 pytest tests/integration/failover -k killed -s`` kills each of them 30 times.
"""

from __future__ import annotations

import os
import random
import time

from pair import SECONDS, Pair, begin, call, wait

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import fence

KILLS = int(os.environ.get("FAILOVER_KILLS", "4"))


def killed(module: str, options: dict, seconds: float) -> bool:
    """Start a module and kill it after so long; return whether it was still at work."""
    process = begin(module, options)
    assert process.stdout
    time.sleep(seconds)  # the moment is what is tried here
    process.kill()
    with process.stdout:
        said = process.stdout.read()
    process.wait(SECONDS)
    return "{" not in said


def nobody_is_left(pair: Pair) -> bool:
    """Tell whether nothing that a killed run has started lives on."""
    mine = {process.pid for process in pair.processes}
    return not [
        pid for pid in proc.pids() if str(pair.top) in proc.cmdline(pid) and pid not in mine and pid != os.getpid()
    ]


def test_quiesce_killed(pair: Pair) -> None:
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    print(f"\nseed {seed}")
    pair.write()
    begun = time.monotonic()
    whole = pair.quiesced(run_id="run-0")
    longest = time.monotonic() - begun
    states: dict[str, int] = {}
    late = 0
    for number in range(1, KILLS + 1):
        pair.end()
        pair.grant()
        pair.replicate()
        writer = pair.write()
        options = pair.primary.quiescing(run_id=f"run-{number}")
        late += not killed("ops_quiesce", options, dice.uniform(0.3, 1.0) * longest)
        wait(lambda: nobody_is_left(pair), f"seed {seed}: nothing outlives the run", 5)
        state = fence.observe(pair.primary.config).state
        states[state] = states.get(state, 0) + 1
        assert pair.primary.foreign() == [], f"seed {seed}"
        done = call("ops_quiesce", **options)
        pair.last_words(writer)
        assert done.get("synced") and done["after"]["state"] == "fenced", (seed, done)
        assert done["txid"] > whole["txid"]
        lost = pair.acknowledged - pair.primary.ids()
        assert not lost and pair.primary.foreign() == [], f"seed {seed}"
        assert pair.primary.names() == {"learning.db", ".learning.db-litestream"}
    pair.standby.fence()
    handed_on = {name: done[name] for name in ("txid", "digest")}
    placed = call("ops_promote", **pair.standby.promoting("placed", **handed_on))
    assert placed["changed"] and not pair.acknowledged - pair.standby.ids(), f"seed {seed}"
    print(f"killed {KILLS} times, {late} too late; left the host {states}")
    assert late < KILLS


def test_promote_killed(pair: Pair) -> None:
    """Placed and undone in turn, each until it is done."""
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    print(f"\nseed {seed}")
    pair.standby.make(3)
    pair.write()
    handed_on = pair.quiesced()
    pair.standby.fence()
    old, new = pair.standby.path.read_bytes(), pair.primary.path.read_bytes()
    epochs = {old: pair.standby.epoch_file.read_text(), new: "REPLICATION_EPOCH=0008\n"}
    begun = time.monotonic()
    call("ops_promote", **pair.standby.promoting("trial", epoch=pair.epoch, **handed_on))
    longest = time.monotonic() - begun
    late, found = 0, {"old": 0, "new": 0}
    for number in range(1, KILLS + 1):
        for state, wanted in (("placed", new), ("undone", old)):
            options = pair.standby.promoting(state, run_id=f"run-{number}", **handed_on)
            share = dice.uniform(0.3, 1.2 if state == "placed" else 0.8)
            late += not killed("ops_promote", options, share * longest)
            wait(lambda: nobody_is_left(pair), f"seed {seed}: nothing outlives the run", 5)
            content = pair.standby.path.read_bytes()
            assert content in (old, new), f"seed {seed}: neither the old nor the new database"
            found["new" if content == new else "old"] += 1
            done = call("ops_promote", **options)
            assert not done.get("failed"), (seed, done)
            assert pair.standby.path.read_bytes() == wanted, f"seed {seed}"
            assert pair.standby.epoch_file.read_text() == epochs[wanted], f"seed {seed}"
            again = call("ops_promote", **options)
            assert not again["changed"] and not again.get("failed"), (seed, again)
            scratch = [name for name in pair.standby.names() if name.startswith(".")]
            assert not scratch and pair.standby.foreign() == [], (seed, scratch)
            aside = pair.standby.storage / f"learning.db.before-run-{number}"
            assert aside.exists() == (state == "placed"), f"seed {seed}"
            assert not aside.exists() or aside.read_bytes() == old, f"seed {seed}"
            assert not {"learning.db-wal", "learning.db-shm"} & pair.standby.names(), f"seed {seed}"
    print(f"killed {2 * KILLS} times, {late} too late; found {found}")
    assert late < 2 * KILLS
