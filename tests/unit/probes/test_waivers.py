# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers, on a real probe that looks at a real file whose mode is wrong."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.runner import run_probes

TODAY = datetime.now(timezone.utc).date()
WAIVER = {"check": "file.mode", "until": str(TODAY), "reason": "shared until the move"}


@pytest.fixture
def look(tmp_path):
    path = tmp_path / "config"
    path.write_text("x")
    path.chmod(0o666)

    def run(*waivers, files=({"path": str(path), "max_mode": "0640"},)):
        spec = {"kind": "file", "files": list(files), "waivers": list(waivers)}
        result = run_probes(registry.prepare_all([spec]), {}, 10)
        [check] = [one for one in result.checks if one.id in ("file.mode", "file.check")]
        return check

    return run


def test_an_accepted_finding_is_skipped_and_still_told_in_both_languages(look):
    bare, waived = look(), look(WAIVER)
    assert bare.status is Status.WARNING
    assert (waived.status, waived.reason, waived.fix) == (Status.SKIPPED, "waived", "")
    assert waived.evidence == bare.evidence
    for locale in catalogue.LOCALES:
        told = catalogue.summary(waived, locale)
        assert catalogue.summary(bare, locale) in told
        assert str(TODAY) in told
        assert "shared until the move" in told
    assert waived.summary == catalogue.summary(waived, "en")


def test_it_holds_through_its_last_day_and_no_longer(look):
    yesterday, tomorrow = (str(TODAY + timedelta(days=days)) for days in (-1, 1))
    expired = look({**WAIVER, "until": yesterday})
    assert expired.status is Status.WARNING
    assert expired.evidence[0] == f"waiver expired on {yesterday}: shared until the move"
    # One that was renewed counts, whichever stands first.
    assert look({**WAIVER, "until": yesterday}, {**WAIVER, "until": tomorrow}).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [
        ({"check": "file.*"}, True),
        ({"check": "file.size"}, False),
        ({"item": "*/config"}, True),
        ({"item": "/elsewhere"}, False),
    ],
)
def test_it_covers_only_what_its_patterns_name(look, patterns, covered):
    assert look({**WAIVER, **patterns}).status is (Status.SKIPPED if covered else Status.WARNING)


def test_neither_a_healthy_check_nor_one_that_could_not_look_is_touched(look, tmp_path):
    good = tmp_path / "good"
    good.write_text("x")
    good.chmod(0o600)
    assert look(WAIVER, files=[{"path": str(good), "max_mode": "0640"}]).status is Status.OK
    missing = {"kind": "cron", "jobs": [{"user": "root", "pattern": "x"}], "spools": [], "system_files": []}
    [broken] = registry.prepare_all([{**missing, "waivers": [{**WAIVER, "check": "*"}]}])
    check = run_probes([broken], {}, 1e-9).checks[0]
    assert (check.id, check.status) == ("check.deadline", Status.UNKNOWN)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"check": "file.mode", "reason": "for ever"}, "until is missing"),
        ({"check": "file.mode", "until": "2026-12-31"}, "reason is missing"),
        ({"until": "2026-12-31", "reason": "all"}, "check is missing"),
        ({**WAIVER, "until": "31.12.2026"}, "YYYY-MM-DD"),
        ({**WAIVER, "forever": True}, "forever"),
    ],
)
def test_one_that_cannot_be_read_is_refused_before_anything_runs(entry, said):
    with pytest.raises(OpsError) as error:
        registry.prepare_all([{"kind": "host", "waivers": [entry]}])
    assert said in str(error.value)


def test_accepting_a_finding_does_not_lose_the_state_of_its_probe():
    assert registry.prepare({"kind": "host"}).key == registry.prepare({"kind": "host", "waivers": [WAIVER]}).key
