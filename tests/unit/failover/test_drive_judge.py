# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What refuses a failover before it has begun, each with its own sentence in both languages; what does not."""

from __future__ import annotations

from typing import Any

import pytest
from drive_hosts import EPOCH, HOSTS, NOW, looks, request

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.catalogue import fix, summary
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.judge import Hosts, classify, judge

GONE = {"unreachable": "Failed to connect to the host via ssh"}


def spoil(*path: str, value: Any) -> dict[str, dict[str, Any]]:
    """Return the healthy site but for one thing."""
    said = looks()
    at: Any = said
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return said


def emergency(**more: Any) -> dict[str, dict[str, Any]]:
    """Return a site whose primary answers nobody."""
    said = looks()
    said["tutor1"] = dict(GONE)
    for look in said.values():
        for peer in look.get("peers", ()):
            if peer["name"] == "tutor1":
                peer.update(ssh="timed out", http="timed out")
    said["tutor2"]["replica"].update(more)
    return said


def test_a_healthy_pair_may_switch() -> None:
    judged = judge(HOSTS, request(), looks())
    assert not judged.refusals and (judged.way, judged.condition) == ("planned", "healthy")
    assert (judged.old, judged.target, judged.epoch, judged.sync) == ("tutor1", "tutor2", 7, True)
    assert judged.expected["rpo_s"] == 0


LOCK = {"run_id": "other", "controller": "station2", "since": "x", "expires": "2100-01-01T00:00:00Z"}
INCIDENTS = [
    {"subject": "INC-6", "data": {"priority": "P0", "state": "resolved"}},
    {"subject": "INC-7", "data": {"priority": "P1", "state": "investigating"}},
    {"subject": "INC-8", "data": {"priority": "P2", "state": "investigating"}},
]
REFUSALS = {
    "failover.no_target": (request(target="tutor9", confirm="tutor9"), looks()),
    "failover.not_confirmed": (request(confirm="tutor1"), looks()),
    "failover.unreachable": (request(), spoil("tutor3", value=GONE)),
    "failover.no_epoch": (request(), {name: {**look, "epoch": None} for name, look in looks().items()}),
    "failover.epoch_split": (request(), spoil("tutor2", "epoch", value={**EPOCH, "primary": "tutor2"})),
    "failover.epoch_other": (request(), {n: {**o, "epoch": {**EPOCH, "primary": "x"}} for n, o in looks().items()}),
    "failover.epoch_few": (request(), spoil("tutor1", "epoch", value={**EPOCH, "epoch": 8})),
    "failover.epoch_lower": (request(), spoil("tutor1", "epoch", value={**EPOCH, "epoch": 6})),
    "failover.no_quorum": (request(), {**looks(), "tutor4": GONE, "tutor5": GONE}),
    "failover.not_granted": (request(), spoil("tutor1", "fence", "granted_epoch", value=6)),
    "failover.granted_too": (request(), spoil("tutor2", "fence", "granted_epoch", value=7)),
    "failover.unguarded": (request(), spoil("tutor2", "fence", "unguarded", value=["bilingual-tutor.service"])),
    "failover.not_looked": (request(), spoil("tutor1", "database", value=None)),
    "failover.no_database": (request(), spoil("tutor1", "database", "exists", value=False)),
    "failover.corrupt": (request(), spoil("tutor1", "database", "quick", value="row 3 missing from index")),
    "failover.no_replica": (request(), spoil("tutor2", "replica", value=None)),
    "failover.replica_old": (request(), spoil("tutor2", "replica", "epoch", value=6)),
    "failover.replica_gap": (request(), spoil("tutor2", "replica", "chain_unbroken", value=False)),
    "failover.no_sender": (request(), spoil("tutor1", "replication", "running", value=False)),
    "failover.lag_unknown": (request(), spoil("tutor1", "replication", "lag", value=None)),
    "failover.stale": (request(), spoil("tutor1", "replication", "lag", value={"behind": 9, "seconds": 11.0})),
    "failover.schema_differs": (request(), spoil("tutor2", "database", "schema_hash", value="bb")),
    "failover.version_differs": (request(), spoil("tutor2", "application", "version", value="1.3.9")),
    "failover.secret_differs": (request(), spoil("tutor2", "application", "secret_sha256", value="0")),
    "failover.too_small": (request(), spoil("tutor2", "free_bytes", value=40_000_000)),
    "failover.backup_bad": (request(), spoil("tutor1", "backup", "ok", value=False)),
    "failover.locked": (request(), spoil("tutor5", "lock", value=LOCK)),
    "failover.flap": (
        request(), {n: {**o, "epoch": {**EPOCH, "since": "2026-11-23T02:00:00Z"}} for n, o in looks().items()}
    ),
    "failover.incident_open": (request(incidents=INCIDENTS), looks()),
    "failover.proxy_broken": (request(), spoil("tutor3", "proxy", "config_ok", value=False)),
    "failover.sees": (request(mode="emergency"), {**looks(), "tutor1": GONE}),
    "failover.loss_of_snapshot": (request(replicated=False), looks()),
    "failover.loss_too_big": (request(mode="emergency"), emergency(newest_at=NOW - 61)),
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSALS)
def test_it_is_refused_by_its_own_sentence(sentence: str) -> None:
    asked, said = REFUSALS[sentence]
    refusals = judge(HOSTS, asked, said).refusals
    assert sentence in [check.message for check in refusals]
    for check in refusals:
        for locale in ("en", "zh"):
            told = [summary(check, locale), fix(check, locale)]
            assert all(told) and not any("{" in text and "failover_without" not in text for text in told), told


def test_one_thing_that_is_wrong_is_one_refusal() -> None:
    """But for what follows from another: the first sentence that an operator reads is the cause."""
    several = {"failover.unreachable", "failover.no_epoch", "failover.no_quorum"}
    for sentence, (asked, said) in REFUSALS.items():
        if sentence not in several:
            assert [check.message for check in judge(HOSTS, asked, said).refusals] == [sentence]


def test_the_word_of_the_operator_lets_it_go_on() -> None:
    for sentence, more in {
        "failover.loss_too_big": {"accept_data_loss": "accept_data_loss"},
        "failover.loss_of_snapshot": {"accept_data_loss": "accept_data_loss"},
        "failover.flap": {"acknowledge_flap": True},
        "failover.incident_open": {"incident": "INC-7"},
        "failover.sees": {"primary_dead": "tutor1"},
        "failover.corrupt": {"timestamp": "2026-11-23T01:00:00Z"},
        "failover.not_confirmed": {"dry": True},
    }.items():
        asked, said = REFUSALS[sentence]
        assert not judge(HOSTS, request(**{**vars(asked), **more}), said).refusals, sentence
    asked, said = REFUSALS["failover.loss_too_big"]
    assert judge(HOSTS, request(**{**vars(asked), "accept_data_loss": "yes"}), said).refusals


def test_an_emergency_does_not_wait_for_an_incident_to_be_resolved() -> None:
    assert not judge(HOSTS, request(mode="emergency", incidents=INCIDENTS), looks()).refusals


def test_a_lock_that_is_over_and_the_own_one_refuse_nothing() -> None:
    for held in ({**LOCK, "expires": "2026-11-22T00:00:00Z"}, {**LOCK, "run_id": "run-1"}):
        assert not judge(HOSTS, request(), spoil("tutor1", "lock", value=held)).refusals


def test_the_lock_of_a_run_that_is_over_here_is_nobodys() -> None:
    """Its host did not answer when it was given back; a run of another controller may still be under way."""
    said = spoil("tutor1", "lock", value={**LOCK, "run_id": "lost"})
    assert not judge(HOSTS, request(ended=["other", "lost"]), said).refusals
    assert judge(HOSTS, request(ended=["other"]), said).refusals


def test_the_host_that_serves_already_is_nothing_to_do() -> None:
    judged = judge(HOSTS, request(target="tutor1", confirm=""), looks())
    assert judged.way == "nothing" and not judged.checks


def test_a_silent_primary_is_an_emergency_only_where_one_was_asked_for() -> None:
    said = emergency()
    planned = judge(HOSTS, request(), said)
    assert planned.way == "none" and [check.message for check in planned.refusals] == ["failover.unreachable"]
    judged = judge(HOSTS, request(mode="emergency"), said)
    assert not judged.refusals and (judged.way, judged.condition, judged.bound) == ("emergency", "host_down", 7.0)
    assert judged.expected["rpo_s"] == 2.0


def test_an_emergency_with_a_primary_that_answers_is_planned() -> None:
    """And what it lacks does not refuse: that is why it is to be replaced."""
    said = spoil("tutor1", "fence", "running", value=[])
    said["tutor1"]["replication"] = {"epoch": 7, "running": False, "lag": None}
    judged = judge(HOSTS, request(mode="emergency"), said)
    assert not judged.refusals and (judged.way, judged.condition) == ("planned", "app_down")


def test_what_is_wrong_with_the_primary() -> None:
    def of(said: dict[str, dict[str, Any]]) -> tuple[str, list[str]]:
        return classify(said, "tutor1", "bilingual-tutor.service")

    assert of(looks()) == ("healthy", [])
    assert of(emergency()) == ("host_down", [])
    assert of({**looks(), "tutor1": GONE}) == ("partitioned", ["tutor2", "tutor3", "tutor4", "tutor5"])
    assert of(spoil("tutor1", "database", "quick", value="malformed"))[0] == "corrupt"
    assert of(spoil("tutor1", "free_bytes", value=0))[0] == "disk_full"
    sender = ["tutor-ops-replication.service"]
    for running in ([], sender):
        assert of(spoil("tutor1", "fence", "running", value=running))[0] == "app_down"
    for answer in ("timed out", 502):
        frozen = looks()
        for look in frozen.values():
            look["peers"] = [{"name": "tutor1", "ssh": "ok", "http": answer}]
        assert of(frozen)[0] == "frozen"
    sentences = {check.message for check in judge(HOSTS, request(), frozen).checks}
    assert "failover.class.frozen" in sentences


def test_without_witnesses_a_person_vouches_for_the_end_of_the_primary() -> None:
    hosts = Hosts(application=["tutor1", "tutor2"])
    asked = request(mode="emergency")
    assert [check.message for check in judge(hosts, asked, emergency()).refusals] == ["failover.no_witness"]
    assert not judge(hosts, request(mode="emergency", primary_dead="tutor1"), emergency()).refusals


def test_a_witness_that_is_off_is_a_hint_while_enough_are_left() -> None:
    judged = judge(HOSTS, request(), {**looks(), "tutor5": GONE})
    assert not judged.refusals
    assert [check.item for check in judged.checks if check.status is Status.WARNING] == ["tutor5"]


def test_a_proxy_that_is_known_to_be_off_may_be_left_out() -> None:
    said = {**looks(), "tutor3": GONE}
    assert judge(HOSTS, request(), said).refusals
    assert not judge(HOSTS, request(without=["tutor3"]), said).refusals
