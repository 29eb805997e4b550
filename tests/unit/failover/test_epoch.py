# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The epoch only grows, one host has it, and a record that cannot be read is never none."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ("tutor1", "tutor2", "tutor3")


def record(number: int, primary: str = "tutor1") -> epoch.Record:
    return epoch.Record(number, primary, "2026-11-23T02:00:00Z", "run-1", "test")


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_raises_leaves_a_chain_that_only_grows(tmp_path, seed):
    dice = random.Random(seed)
    seen: list[tuple[int, str]] = []
    for _turn in range(60):
        number, primary = dice.randint(1, 20), dice.choice(HOSTS)
        before = epoch.read(tmp_path)
        try:
            changed = epoch.raise_to(tmp_path, record(number, primary))
        except OpsError:
            assert before and number <= before.epoch and (number, primary) != (before.epoch, before.primary)
            assert epoch.read(tmp_path) == before, "a refusal changes nothing"
            continue
        after = epoch.read(tmp_path)
        assert after and (after.epoch, after.primary) == (number, primary)
        assert changed == (after != before)
        if changed:
            seen.append((number, primary))
    assert [number for number, _host in seen] == sorted({number for number, _host in seen}), f"seed {seed}"


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_a_run_that_was_too_slow_is_told(tmp_path, expected):
    epoch.raise_to(tmp_path, record(2))
    with pytest.raises(OpsError, match=f"epoch 2 is stored here: expected {expected}"):
        epoch.raise_to(tmp_path, record(9, "tutor2"), expected)
    assert epoch.raise_to(tmp_path, record(9, "tutor2"), 2)
    assert not epoch.raise_to(tmp_path, record(9, "tutor2"), 2), "the same run again is done already"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"epoch": 7}', '{"primary": "a"}', '{"epoch": "7", "primary": "a"}', '{"epoch": true, "primary": "a"}',
     '{"epoch": 0, "primary": "a"}', '{"epoch": -1, "primary": "a"}', '{"epoch": 1.5, "primary": "a"}',
     '{"epoch": 9007199254740992, "primary": "a"}', '{"epoch": 7, "primary": ""}', '{"epoch": 7, "primary": ["a"]}'],
)  # fmt: skip
def test_a_damaged_record_is_an_error_and_stays(tmp_path, text):
    (tmp_path / epoch.NAME).write_text(text)
    with pytest.raises(OpsError, match="damaged"):
        epoch.read(tmp_path)
    with pytest.raises(OpsError, match="damaged"):
        epoch.raise_to(tmp_path, record(99))
    assert (tmp_path / epoch.NAME).read_text() == text


def test_bytes_that_are_no_text_are_damage(tmp_path):
    (tmp_path / epoch.NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OpsError, match="damaged"):
        epoch.read(tmp_path)


def test_no_record_is_none(tmp_path):
    assert epoch.read(tmp_path) is None


RAISER = """
import sys
from pathlib import Path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch
where, host, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
won = 0
for _turn in range(rounds):
    seen = epoch.read(where)
    number = seen.epoch if seen else 0
    try:
        won += epoch.raise_to(where, epoch.Record(number + 1, host, "now"), number)
    except OpsError:
        pass
print(won)
"""


def raiser(where: Path, host: str, rounds: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", RAISER, str(where), host, str(rounds)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / '.tree'}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_of_several_at_once_each_epoch_has_one_winner(tmp_path):
    """The number that is reached is the number of raises that were told they won: no epoch was given twice."""
    running = [raiser(tmp_path, host, 40) for host in HOSTS]
    won = [int(process.communicate(timeout=60)[0].split()[-1]) for process in running]
    found = epoch.read(tmp_path)
    assert found and found.epoch == sum(won) and min(won) >= 0


def test_killed_at_any_moment_the_record_is_whole_and_never_lower(tmp_path):
    seed = random.randrange(1 << 30)
    dice, last = random.Random(seed), 0
    for _turn in range(25):
        with raiser(tmp_path, "tutor1", 10**6) as process:
            assert process.stdout and process.stdout.readline() == "ready\n"
            end = time.monotonic() + dice.uniform(0.0, 0.03)
            while time.monotonic() < end:
                found = epoch.read(tmp_path)
                assert (found.epoch if found else 0) >= last, f"seed {seed}"
            process.send_signal(signal.SIGKILL)
        found = epoch.read(tmp_path)
        assert (found.epoch if found else 0) >= last, f"seed {seed}"
        last = found.epoch if found else 0
    assert last > 0
    assert set(json.loads((tmp_path / epoch.NAME).read_text())) == {"epoch", "primary", "since", "run_id", "reason"}
