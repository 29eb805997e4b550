# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logins probe, on what a Debian 12 host really logged while somebody guessed passwords on it.

data/journal_logins.jsonl: a wrong key for root (1 failure), a wrong key for an unknown user (1), three wrong passwords of
carol (3), two of a user named ``evil from 9.9.9.9 port 22 ssh2`` (2), six of carol until sshd cut her off (6), then her
right password, a sudo she may not do and a su that failed. tests/lab/test_logins.py does the same on a running host.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import logins
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import logins as counting

RECORDED = (Path(__file__).parent / "data" / "journal_logins.jsonl").read_text().splitlines()
END = json.loads(RECORDED[-1])
NOW = int(END["__REALTIME_TIMESTAMP"]) / 1e6
SPEC = {"days": 7.0, "root_from": []}


def said(*messages, when=NOW, identifier="sshd", uid="0", pid="7"):
    return [journal.Entry(when, identifier, pid, uid, message, "c") for message in messages]


def counted(entries, now=NOW):
    tally = counting.Tally(now)
    for entry in entries:
        tally.take(entry)
    return tally


def judged(tally, root_from=(), **thresholds):
    say = logins.AREA.reporter(thresholds)
    found = logins.judge(say, tally, logins._networks(list(root_from)), 3600, [])
    return {check.id: check for check in found}


@pytest.fixture
def recorded():
    return counted(journal.parse(line) for line in RECORDED)


def test_every_failure_of_a_real_journal_is_counted_once(recorded):
    assert recorded.failures == recorded.worst_day == 1 + 1 + 3 + 2 + 6
    [(name, found)] = recorded.networks.items()
    assert (name, found.failures, len(found.users)) == ("10.77.40.0/24", 13, 4)
    assert (recorded.locked, recorded.local_failures, recorded.accepted) == (1, 2, 1)


def test_a_success_after_five_failures_from_its_address_is_critical(recorded):
    check = judged(recorded)["logins.break_in"]
    assert check.status is Status.CRITICAL
    assert "from 10.77.40.1 with password" in check.evidence[0]


@pytest.mark.parametrize(
    ("failures", "hours", "address", "status"),
    [
        (5, 0.9, "192.0.2.7", Status.CRITICAL),
        (4, 0.9, "192.0.2.7", Status.OK),
        (5, 1.1, "192.0.2.7", Status.OK),
        (5, 0.9, "192.0.2.8", Status.OK),
    ],
)
def test_success_after_failures(failures, hours, address, status):
    entries = said(
        *["Failed password for root from 192.0.2.7 port 5 ssh2"] * failures, when=NOW - hours * counting.HOUR
    ) + said(f"Accepted publickey for root from {address} port 5 ssh2: ED25519 SHA256:x")
    assert judged(counted(entries))["logins.break_in"].status is status


def test_failures_of_the_last_run_count_for_a_success_in_this_one():
    first = counted(said(*["Failed password for root from 192.0.2.7 port 5 ssh2"] * 5, when=NOW - 600))
    state = json.loads(json.dumps(first.dump()))
    second = counting.Tally(NOW + 600)
    second.load(state)
    [entry] = said("Accepted password for root from 192.0.2.7 port 5 ssh2", when=NOW + 300)
    second.take(entry)
    assert second.break_in_count == 1
    assert counted([], now=NOW + 2 * counting.HOUR).dump() == {}


def test_a_hundred_failures_on_one_day_warn_and_on_two_days_do_not():
    line = "Failed password for root from 192.0.2.7 port 5 ssh2"
    one = counted(said(*[line] * 100))
    assert judged(one)["logins.failed"].status is Status.WARNING
    two = counted(said(*[line] * 60) + said(*[line] * 60, when=NOW - 1.5 * counting.DAY))
    assert judged(two)["logins.failed"].status is Status.OK
    assert two.failures == 120


def test_ten_names_from_one_network_warn_and_from_two_do_not():
    def tried(networks):
        return counted(
            entry
            for number in range(10)
            for entry in said(
                f"Invalid user u{number} from 192.0.{2 + number % networks}.{number} port 5", pid=str(number)
            )
        )

    assert judged(tried(1))["logins.spray"].status is Status.WARNING
    assert judged(tried(2))["logins.spray"].status is Status.OK


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
        ("UNKNOWN", "UNKNOWN"),
    ],
)
def test_networks(address, network):
    assert counting.network(address) == network


def test_a_user_name_cannot_forge_an_address_or_a_login():
    tally = counted(
        said(
            "Failed password for invalid user x from 9.9.9.9 port 22 ssh2 from 192.0.2.7 port 5 ssh2",
            "Invalid user Accepted password for root from 9.9.9.9 port 22 from 192.0.2.7 port 6",
        )
    )
    assert set(tally.networks) == {"192.0.2.0/24"}
    assert tally.accepted == 0
    forged = said("Accepted password for root from 192.0.2.9 port 5 ssh2", uid="1000")
    assert counted(forged).accepted == 0, "only root is sshd"


def test_names_of_no_account_are_counted_and_never_shown():
    tally = counted(said("Invalid user hunter2-is-my-password from 192.0.2.7 port 5"))
    told = json.dumps([check.as_dict() for check in judged(tally).values()])
    assert "hunter2" not in told
    assert "no such account 1" in told


def test_root_may_come_by_key_from_where_it_is_declared():
    key = "Accepted publickey for root from 192.0.2.7 port 5 ssh2: ED25519 SHA256:x"
    password = "Accepted password for root from 192.0.2.7 port 5 ssh2"
    assert judged(counted([]))["logins.root"].message == "logins.root_none"
    assert judged(counted(said(key)))["logins.root"].status is Status.OK
    assert judged(counted(said(password)))["logins.root"].status is Status.WARNING
    assert judged(counted(said(key)), ["192.0.2.0/24", "2001:db8::/32"])["logins.root"].status is Status.OK
    elsewhere = judged(counted(said(key)), ["198.51.100.0/24"])["logins.root"]
    assert (elsewhere.status, elsewhere.evidence) == (Status.WARNING, ["192.0.2.7 with publickey: 1"])


def test_a_long_attack_stays_in_bounded_memory():
    tally = counting.Tally(NOW)
    for number in range(30_000):
        address = f"10.{number % 120}.{number // 120 % 250}.{number % 250}"
        line = f"Failed password for invalid user u{number} from {address} port 5 ssh2"
        tally.take(journal.Entry(NOW, "sshd", str(number), "0", line, ""))
    assert tally.failures == 30_000
    assert len(tally.networks) <= counting.NETWORKS + 1
    assert len(tally.recent) <= counting.ADDRESSES
    assert len(tally.connections) <= counting.CONNECTIONS
    assert len(tally.dump()) <= counting.RECENT
    assert len(tally.users) == 1
    assert len(judged(tally)["logins.failed"].evidence) <= 10


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"__REALTIME_TIMESTAMP": "1", "MESSAGE": [70, 255, 111]}', "F\ufffdo"),
        ('{"__REALTIME_TIMESTAMP": "1", "MESSAGE": null}', ""),
        ('{"__REALTIME_TIMESTAMP": "1", "MESSAGE": ["one", "two"]}', "one"),
    ],
)
def test_messages_as_the_journal_writes_them(line, message):
    assert journal.parse(line).message == message


@pytest.mark.parametrize("line", ["", "{", '{"MESSAGE": "x"}', '"text"', "null"])
def test_what_is_no_message_is_passed_over(line):
    assert journal.parse(line) is None


def test_a_journal_that_is_not_there_or_not_for_us_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "trouble", lambda of=journal.trouble: of([f"{tmp_path}/*/system.journal"]))
    before = {"cursor": "c", "at": 5.0}
    result = logins.probe(SPEC, before, Deadline(5))
    assert [(check.status, check.reason) for check in result.checks] == [(Status.UNKNOWN, "missing")]
    assert result.state == before
    monkeypatch.setattr(journal.os, "access", lambda *_args: False)  # root may read whatever the mode says
    assert [check.reason for check in logins.probe(SPEC, before, Deadline(5)).checks] == ["denied"]


@pytest.fixture
def slow_journal(tmp_path, monkeypatch):
    """A journalctl that writes recorded lines and then never ends."""
    (tmp_path / "recorded").write_text("\n".join(RECORDED) + "\n")
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/recorded\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(journal, "trouble", lambda: "")
    monkeypatch.setattr(journal, "begins", lambda _seconds: 0.0)


def test_what_does_not_fit_into_the_time_is_left_to_the_next_run(slow_journal):
    begin = time.monotonic()
    result = logins.probe(SPEC, {}, Deadline(1.8))
    assert time.monotonic() - begin < 4
    found = {check.id: check for check in result.checks}
    assert f"read {len(RECORDED)} messages" in found["logins.failed"].evidence[0]
    assert result.state["cursor"] == END["__CURSOR"]
    assert result.state["at"] == pytest.approx(NOW)


@pytest.mark.parametrize("spec", [{"days": 0, "root_from": []}, {"days": 7, "root_from": ["10.0.0.0/33"]}])
def test_what_cannot_be_meant_is_refused(spec):
    with pytest.raises(OpsError):
        logins.validate(spec)
