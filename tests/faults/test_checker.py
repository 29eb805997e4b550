# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker lets a good switchover pass, and flags each thing that must never be in one that is otherwise the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import acks
import checker
import pytest
from acks import FAIL, MAINTENANCE, OK, UNKNOWN, Ack
from hypothesis import given
from hypothesis import strategies as st

SWITCH, BACK = 10.0, 13.0


def write(number: int, invoked: float, node: str, epoch: int, via: str = "proxy", outcome: str = OK) -> Ack:
    return Ack(f"r1-c{number % 4}-{number}", f"c{number % 4}", via, invoked, invoked + 0.01, outcome, node, epoch)


def switchover() -> list[Ack]:
    """Ten seconds of tutor1 in epoch 4, three of nothing but errors, ten seconds of tutor2 in epoch 5."""
    old = [write(number, number / 10, "tutor1", 4) for number in range(100)]
    gone = [replace(write(100 + n, SWITCH + n / 10, "", 0), outcome=UNKNOWN if n == 0 else FAIL) for n in range(30)]
    new = [write(130 + number, BACK + number / 10, "tutor2", 5) for number in range(100)]
    return [*old, *gone, *new]


def there(history: list[Ack]) -> list[str]:
    return [ack.id for ack in history if ack.outcome == OK]


def test_a_good_switchover_passes_and_is_measured() -> None:
    history = switchover()
    verdict = checker.check(history, there(history))
    assert not verdict.bad
    assert (verdict.acked, verdict.unknown, verdict.failed, verdict.client_errors) == (200, 1, 29, 30)
    assert verdict.gap == pytest.approx(BACK - 9.9) and verdict.gap_from == pytest.approx(9.91)
    assert [(term.epoch, term.node, term.acks) for term in verdict.terms] == [(4, "tutor1", 100), (5, "tutor2", 100)]
    assert checker.first_ok(history, 4) == pytest.approx(BACK + 0.01)


def test_to_be_told_to_wait_is_no_error() -> None:
    history = [replace(ack, detail=MAINTENANCE) if ack.outcome != OK else ack for ack in switchover()]
    verdict = checker.check(history, there(history))
    assert (verdict.client_errors, verdict.told_to_wait) == (0, 30)


@pytest.mark.parametrize("number", [0, 99, 199])
def test_one_lost_write_is_flagged_wherever_it_is(number: int) -> None:
    history = switchover()
    kept = there(history)
    gone = kept.pop(number)
    verdict = checker.check(history, kept)
    assert verdict.bad and [ack.id for ack in verdict.lost] == [gone]


def test_an_unknown_write_may_be_there_or_not() -> None:
    history = switchover()
    perhaps = next(ack.id for ack in history if ack.outcome == UNKNOWN)
    assert not checker.check(history, [*there(history), perhaps]).bad


def test_what_nobody_wrote_and_what_was_refused_are_phantoms() -> None:
    history = switchover()
    refused = next(ack.id for ack in history if ack.outcome == FAIL)
    verdict = checker.check(history, [*there(history), "r1-c9-9", refused])
    assert verdict.bad and verdict.phantom == sorted(["r1-c9-9", refused])


def test_a_write_that_is_there_twice_is_flagged() -> None:
    history = switchover()
    kept = there(history)
    verdict = checker.check(history, [*kept, kept[3]])
    assert verdict.bad and verdict.duplicates == [kept[3]]


def test_a_write_of_the_old_primary_after_the_first_of_the_new_one_is_dual() -> None:
    """Asked for inside its network, where no proxy is in the way; and it is there, as if nothing had been."""
    history = [*switchover(), write(1000, BACK + 0.5, "tutor1", 4, via="tutor1")]
    verdict = checker.check(history, there(history))
    assert verdict.bad and [ack.id for ack in verdict.dual] == ["r1-c0-1000"]
    assert verdict.dual_seconds == pytest.approx(0.49)


def test_one_that_was_only_answered_late_is_not() -> None:
    """It was asked for before the switchover and may have been committed then."""
    late = replace(write(1000, 9.99, "tutor1", 4, via="tutor1"), client="slow", ended=BACK + 3)
    history = [*switchover(), late]
    assert not checker.check(history, there(history)).bad


@pytest.mark.parametrize("epoch", [0, 5])
def test_a_host_without_a_grant_or_with_the_epoch_of_another_is_dual(epoch: int) -> None:
    """Started by hand it knows no epoch; with the fence gone two may share one."""
    history = [*switchover(), write(1000, BACK + 0.5, "tutor1", epoch, via="tutor1")]
    verdict = checker.check(history, there(history))
    assert verdict.bad and verdict.dual


def test_a_client_that_goes_back_to_an_older_epoch_is_flagged() -> None:
    history = [*switchover(), write(1000, BACK + 9.95, "tutor1", 3)]
    assert checker.check(history, there(history)).disorder


ISOLATED = [write(2000 + number, SWITCH + number / 10, "tutor1", 4, via="tutor1") for number in range(20)]


def account(**changes: object) -> checker.Account:
    given = {"node": "tutor1", "epoch": 4, "fault": SWITCH, "replicated": 9.8, "kept": there(switchover() + ISOLATED)}
    return checker.Account(**{**given, **changes})  # type: ignore[arg-type]


def test_what_an_isolated_host_took_alone_is_accounted_and_measured() -> None:
    """The last write before the fault and twenty after it are gone; the run said so and they are kept."""
    history = switchover() + ISOLATED
    lost = {"r1-c3-99", *(ack.id for ack in ISOLATED)}
    verdict = checker.check(history, [name for name in there(history) if name not in lost], account())
    assert not verdict.bad and len(verdict.accounted) == 21
    seconds, before, after = checker.true_rpo(verdict, account())
    assert (round(seconds, 3), before, after) == (0.09, 1, 20)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"kept": there(switchover())}, 20),  # nobody has them any more
        ({"epoch": 3}, 21),  # not of that host's time
        ({"node": "tutor2"}, 21),
        ({"replicated": 11.0}, 9),  # the run said that these were there
    ],
)
def test_what_is_not_accounted_for_is_lost(changes: dict[str, object], missing: int) -> None:
    history = switchover() + ISOLATED
    lost = {"r1-c3-99", *(ack.id for ack in ISOLATED)}
    verdict = checker.check(history, [name for name in there(history) if name not in lost], account(**changes))
    assert verdict.bad and len(verdict.lost) == missing


def test_the_new_primary_is_never_excused() -> None:
    history = switchover()
    kept = there(history)
    assert kept.pop() == "r1-c1-229"
    assert checker.check(history, kept, account(kept=there(history))).lost


@given(st.data())
def test_whatever_is_taken_away_or_put_in_is_counted(data: st.DataObject) -> None:
    history = switchover()
    kept = there(history)
    gone = data.draw(st.sets(st.sampled_from(kept)))
    twice = data.draw(st.sets(st.sampled_from(sorted(set(kept) - gone)), max_size=5)) if set(kept) - gone else set()
    verdict = checker.check(history, [name for name in kept if name not in gone] + sorted(twice))
    assert {ack.id for ack in verdict.lost} == gone and set(verdict.duplicates) == twice


@given(st.floats(0.02, 9.8), st.floats(0.001, 3.0))
def test_any_write_asked_for_within_the_term_of_another_is_dual(after: float, took: float) -> None:
    rogue = replace(write(1000, BACK + 0.01 + after, "tutor1", 4, via="tutor1"), ended=BACK + after + took)
    assert [ack.id for ack in checker.check([*switchover(), rogue], [])
            .dual] == [rogue.id]  # fmt: skip


def test_a_history_is_saved_and_read(tmp_path: Path) -> None:
    acks.save(tmp_path / "history", switchover())
    assert acks.load(tmp_path / "history") == switchover()


def test_the_summary_counts_everything() -> None:
    runs = [
        {"outcome": "done", "gap": gap, "acked": 10, "lost": 0, "dual": 0, "client_errors": 1, "proxied": 10}
        for gap in (1.0, 2.0, 3.0, 9.0)
    ]
    told = checker.summary([*runs, {"outcome": "inconclusive", "gap": 99.0, "lost": 1}])
    assert (told["runs"], told["inconclusive"], told["lost"], told["acked"]) == (5, 1, 1, 40)
    assert (told["gap_p50"], told["gap_p95"], told["gap_max"]) == (2.0, 9.0, 9.0)
    assert checker.percentile([], 0.5) is None
