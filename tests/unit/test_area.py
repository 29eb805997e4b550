# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas: rules, sentences and what is made of them."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text, merge
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

DISK = Area(
    "host",
    rules={"disk.used": Rule(Text("Disk", "磁盘"), Text("Free {item}", "清理 {item}"), warn="80", crit="90", uom="%")},
    sentences={"disk.is": Text("{item} is {value:.0f} % full, {free} left", "{item} 已用 {value:.0f} %，剩余 {free}")},
)


def measure(value: float, thresholds=None):
    return DISK.reporter(thresholds).measure("disk.used", value, "disk.is", item="/", free="1 GiB", evidence=["df"])


@pytest.mark.parametrize(
    ("value", "status", "reason"), [(80, "OK", "ok"), (80.1, "WARNING", "threshold"), (91, "CRITICAL", "threshold")]
)
def test_status_follows_the_default_thresholds(value, status, reason):
    check = measure(value)
    assert (check.status.name, check.reason, check.warn, check.crit) == (status, reason, "80", "90")


def test_sentence_is_rendered_and_can_be_rendered_again_in_the_other_language():
    check = measure(85)
    assert check.summary == "/ is 85 % full, 1 GiB left"
    assert DISK.sentences[check.message].render("zh", check.words) == "/ 已用 85 %，剩余 1 GiB"
    assert check.params == {"free": "1 GiB"}


def test_only_findings_carry_advice():
    assert (measure(10).fix, measure(95).fix) == ("", "disk.used")


def test_override_replaces_one_level_and_empty_switches_it_off():
    assert measure(95, {"disk.used": {"crit": ""}}).status is Status.WARNING
    assert measure(95, {"disk.used": {"warn": "97", "crit": "99"}}).status is Status.OK


def test_missing_value_of_a_sentence_does_not_raise():
    assert "disk" in Text("disk {gone}", "").render("en", {"x": 1})


def test_two_areas_with_one_key_are_refused():
    with pytest.raises(OpsError, match=r"disk\.is, disk\.used"):
        merge([DISK, Area("host", DISK.rules, DISK.sentences)])
