# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page itself: readable for everybody, small, and of one piece."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import make_envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import html
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.html_template import CSS, DARK, LIGHT
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.story import past_runs

NOW = datetime(2026, 11, 23, 1, 12, tzinfo=timezone.utc)


def envelope(host, checks, run_id="now", started="2026-11-23T01:02:03Z"):
    result = {"checks": [check.as_dict() for check in checks], "state": {}, "started": started}
    return make_envelope(result, host, run_id, "morning", started, {})


def render(envelopes, locale="en", **rest):
    return html.render(envelopes, locale=locale, zone=ZoneInfo("Asia/Shanghai"), now=NOW, **rest)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_colour_has_the_contrast_of_wcag_aa(palette):
    texts = ["text", "soft", "link", "critical", "warning", "unknown", "ok", "skipped"]
    for ground in ("page", "card"):
        assert {
            name: contrast(palette[name], palette[ground])
            for name in texts
            if contrast(palette[name], palette[ground]) < 4.5
        } == {}
    assert all(contrast(palette[name], palette["track"]) >= 3 for name in ("critical", "warning", "unknown", "ok"))
    assert palette.keys() == LIGHT.keys()


def test_colours_stand_in_the_palettes_only():
    assert set(re.findall(r"#[0-9a-fA-F]{3,6}\b", CSS)) <= {"#fff", "#999"}  # of paper


def test_ten_hosts_with_sixty_checks_stay_under_300_kb_with_history():
    def checks(host):
        return [
            Check(
                f"group{n % 9}.check{n}",
                f"group{n % 9}",
                f"/srv/data/volume-{n}",
                Status(n % 3),
                "state",
                f"{host}: volume {n} is 81.25 % full, 12 GiB free of 64",
                "",
                value=81.25,
                uom="%",
            )
            for n in range(60)
        ]

    hosts = [f"tutor{n}" for n in range(10)]
    earlier = [
        envelope(host, checks(host)[:1], f"run{n}", f"2026-11-{n + 1:02}T01:00:00Z")
        for n in range(20)
        for host in hosts
    ]
    assert (
        len(render([envelope(host, checks(host)) for host in hosts], "zh", past=past_runs(earlier)).encode()) < 300_000
    )


def test_it_says_its_language_time_scope_and_first_run():
    english, chinese = render([envelope("a", [])]), render([envelope("a", [])], "zh")
    assert '<html lang="en">' in english and '<html lang="zh-CN">' in chinese
    assert "2026-11-23 09:02" in english and "9 min ago" in english and "9 分钟前" in chinese
    assert "personal learning system only" in english and "仅限个人学习系统" in chinese
    assert "First run" in english and "首次运行" in chinese
    assert "Nothing was looked at" in english


def test_chinese_pages_have_no_english_words_of_our_own():
    chinese = render(
        [envelope("a", [Check("a.b", "host", "", Status.CRITICAL, "state", "坏", "")])], "zh", title="运维"
    )
    visible = re.sub(r"<(style|title)>.*?</\1>|<[^>]+>", " ", chinese, flags=re.DOTALL)
    assert set(re.findall(r"[A-Za-z]{3,}", visible)) <= {
        "Asia",
        "Shanghai",
        "English",
        "now",
        "bilingual",
        "tutor",
        "ops",
    }


def test_changes_none_is_said():
    check = Check("a.b", "host", "", Status.CRITICAL, "state", "broken", "", since="2026-11-20T00:00:00Z")
    text = render([envelope("a", [check])], past=past_runs([envelope("a", [check], "before")]))
    assert re.search(r"Changes since last run</h2>\s*<div class=\"card\">\s*<p class=\"soft\">None\.", text)
    assert "since 2026-11-20 08:00" in text


def test_capacity_bars_show_value_and_thresholds():
    check = Check(
        "disk.used", "host", "/var", Status.WARNING, "threshold", "full", "", value=84.0, uom="%", warn="80", crit="90"
    )
    text = render([envelope("a", [check])])
    assert 'style="width:84.0%"' in text and "left:80.0%" in text and "left:90.0%" in text


@pytest.mark.parametrize(
    ("value", "uom", "text"),
    [(1536.0, "B", "1.5 KiB"), (0.0, "B", "0 B"), (84.26, "%", "84.3 %"), (2.0**50, "B", "1024 TiB"), (7.0, "", "7")],
)
def test_amounts(value, uom, text):
    assert html.amount(Check("a", "b", "", Status.OK, "ok", "", "", value=value, uom=uom)) == text


def test_capacity_shows_findings_first_then_the_fullest():
    values = [("/full", 79.0, Status.OK), ("/empty", 1.0, Status.OK), ("/bad", 50.0, Status.WARNING)]
    checks = [
        Check("disk.used", "host", item, status, "state", "", "", value=value, uom="%")
        for item, value, status in values
    ]
    text = render([envelope("a", checks)]).partition("Capacity</h2>")[2].partition("</section>")[0]
    assert re.findall(r"<code>(.*?)</code>", text) == ["/bad", "/full", "/empty"]
