# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the checks: every renderer tells the same worst state and the same counts, in its own valid syntax."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from datetime import datetime, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status, counts, worst
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import make_envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import (
    html,
    jsonout,
    junit,
    markdown,
    nagios,
    terminal,
    textfile,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.story import past_runs

NASTY = [
    "",
    "a|b=c;d",
    "it's",
    "''' '",
    "line\nbreak\r\nand\ttab",
    "<script>alert(1)</script>&amp;",
    '"><img src=x onerror=y>',
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b1m",
    "nul\x00byte \ufffe \uffff \udc80",
    "\u202eright to left\u2066",
    'quote" back\\slash \\n',
    "中文，很长" * 40,
    "x" * 10_000,
    "| a | b |\n|---|---|",
    "===",
    "- [link](javascript:x) `code` **b** https://evil.example",
    "{{ 7 * 7 }} {item} %s",
]
texts = st.sampled_from(NASTY) | st.text(max_size=40)
ids = st.sampled_from(["disk.used", "redis.replication.backlog_window", "http.total", "host.reachable", "x"])
ranges = st.sampled_from(["", "80", "80:", "~:10", "10:20", "@10:20", ".5:1.5", "-3:", "garbage|'", "1e400", "0:0"])
numbers = st.none() | st.floats() | st.integers(-(10**20), 10**20).map(float)


@st.composite
def checks(draw):
    return Check(
        id=draw(ids),
        group=draw(st.sampled_from(["host", "redis", "log", "backup"])),
        item=draw(texts),
        status=draw(st.sampled_from(list(Status))),
        reason="state",
        summary=draw(texts),
        message=draw(st.sampled_from(["", "host.unreachable", "check.took"])),
        params={"error": draw(texts)},
        value=draw(numbers),
        uom=draw(st.sampled_from(["", "%", "s", "ms", "B", "KB", "c", "d", "GB", "|'"])),
        warn=draw(ranges),
        crit=draw(ranges),
        min=draw(st.sampled_from([None, 0.0, -1e300])),
        max=draw(st.sampled_from([None, 100.0])),
        evidence=draw(st.lists(texts, max_size=2)),
        fix=draw(st.sampled_from(["", "host.reachable"])),
    ).as_dict()


@st.composite
def runs(draw):
    names = draw(st.lists(st.sampled_from(["tutor1", "tutor2", "主机三", "<b>|'\"\x1b[1m\n"]), max_size=3, unique=True))
    return [
        make_envelope(
            {"checks": draw(st.lists(checks(), max_size=6)), "state": {}, "duration_ms": 12.5},
            name,
            "20261123T010203Z-ab12cd",
            "morning",
            "2026-11-23T01:02:03Z",
            {},
        )
        for name in names
    ]


def truth(envelopes):
    found = [Check.from_dict(data) for envelope in envelopes for data in envelope["checks"]]
    return worst(found), counts(found)


def read_nagios(envelopes):
    output = nagios.render(envelopes)
    first = output.text.split("\n")[0]
    match = re.match(r"OPS (\w+) - (\d+) Critical, (\d+) Warning, (\d+) Unknown, (\d+) OK, (\d+) Skipped", first)
    assert match, first
    names = ("critical", "warning", "unknown", "ok", "skipped")
    assert Status[match[1]] == output.code
    return Status(output.code), dict(zip(names, map(int, match.groups()[1:])))


def read_json(envelopes):
    data = json.loads(jsonout.render(envelopes))
    assert [envelope["host"] for envelope in data["envelopes"]] == [envelope["host"] for envelope in envelopes]
    return Status(data["worst"]), data["counts"]


def read_markdown(envelopes):
    lines = markdown.render(envelopes).splitlines()
    tally = re.findall(r"(Critical|Warning|Unknown|OK|Skipped) (\d+)", lines[2])
    return Status[lines[0].split()[-1].upper()], {name.lower(): int(number) for name, number in tally}


def read_terminal(envelopes):
    lines = terminal.render(envelopes)
    tally = re.findall(r"(Critical|Warning|Unknown|OK|Skipped) (\d+)", lines[1].text)
    return lines[1].status, {name.lower(): int(number) for name, number in tally}


VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Reads a page to its end; every element that is opened must be closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.main = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag == "main":
            self.main = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page(envelopes, locale="en", **rest):
    return html.render(
        envelopes, locale=locale, zone=timezone.utc, now=datetime(2026, 11, 23, 2, tzinfo=timezone.utc), **rest
    )


def read_html(envelopes):
    main = Page(page(envelopes)).main
    return Status[main["data-worst"]], {
        status.name.lower(): int(main[f"data-{status.name.lower()}"]) for status in Status
    }


@given(envelopes=runs(), earlier=runs(), locale=st.sampled_from(["en", "zh"]))
@settings(max_examples=60, deadline=None)
def test_html_is_whole_and_lets_nothing_of_a_host_in(envelopes, earlier, locale):
    text = page(envelopes, locale, past=past_runs({**envelope, "run_id": "before"} for envelope in earlier))
    seen = Page(text).seen
    assert not {tag for tag, _attrs in seen} & {"script", "img", "iframe", "object", "form"}
    assert not [name for _tag, attrs in seen for name in attrs if name.startswith("on")]
    assert {attrs["href"] for _tag, attrs in seen if "href" in attrs} <= {"#now", "#all", "data:,"}
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("reader", [read_nagios, read_json, read_markdown, read_terminal, read_html])
@given(envelopes=runs())
@settings(max_examples=60, deadline=None)
def test_worst_and_counts_are_those_of_the_checks(reader, envelopes):
    state, tally = truth(envelopes)
    if reader is read_nagios and state is Status.SKIPPED:
        state = Status.OK  # an exit code has no word for it, and nothing applied
    assert reader(envelopes) == (state, tally)


@given(envelopes=runs())
@settings(max_examples=60, deadline=None)
def test_junit_counts_its_own_elements(envelopes):
    state, tally = truth(envelopes)
    root = ET.fromstring(junit.render(envelopes))
    found = {name: len(list(root.iter(name))) for name in ("testcase", "failure", "error", "skipped")}
    bad = tally["critical"] + tally["warning"]
    assert found == {
        "testcase": sum(tally.values()),
        "failure": bad,
        "error": tally["unknown"],
        "skipped": tally["skipped"],
    }
    declared = {name: int(root.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert list(declared.values()) == list(found.values())
    types = {element.get("type") for element in root.iter("failure")}
    assert ("CRITICAL" in types) == (state is Status.CRITICAL)


# --- Nagios: the guidelines as a grammar -----------------------------------------------------------------------------
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = rf"@?(?:(?:~|{NUMBER})?:)?(?:{NUMBER})?"
PERF = re.compile(
    rf"'(?P<label>[^'=|]+)'=(?P<value>{NUMBER})(?P<uom>s|us|ms|%|B|KB|MB|c)?"
    rf"(?:;(?P<warn>{RANGE})(?:;(?P<crit>{RANGE})(?:;(?P<min>{NUMBER})?(?:;(?P<max>{NUMBER})?)?)?)?)?"
)


def parse_perfdata(text):
    """Read performance data to its last character, or fail."""
    found, position = [], 0
    while position < len(text):
        match = PERF.match(text, position)
        assert match, text[position : position + 80]
        found.append(match)
        position = match.end()
        assert text[position : position + 1] in ("", " ")
        position += 1
    return found


@given(envelopes=runs())
@settings(max_examples=150, deadline=None)
def test_perfdata_keeps_to_the_grammar(envelopes):
    text = nagios.render(envelopes).text
    assert "\x1b" not in text and "\x00" not in text
    assert len(text.encode()) <= 8192
    assert text.count("|") <= 1  # long text may not open a second block of performance data
    first, _bar, perf = text.split("\n")[0].partition(" | ")
    assert "|" not in first
    labels = [match["label"] for match in parse_perfdata(perf)]
    assert len(labels) == len(set(labels))


def test_output_is_capped_and_says_so():
    many = [
        Check(
            "disk.used",
            "host",
            f"/srv/data/volume-{n:04}",
            Status.CRITICAL,
            "threshold",
            "full " * 20,
            "",
            value=97.125,
        )
        for n in range(600)
    ]
    output = nagios.render([make_envelope({"checks": [c.as_dict() for c in many], "state": {}}, "a", "", "", "", {})])
    first, *rest = output.text.split("\n")
    perf = first.partition(" | ")[2]
    assert len(output.text.encode()) <= 8192 and len(perf.encode()) <= 6144
    shown = len(parse_perfdata(perf))
    assert 50 < shown < 600
    assert re.fullmatch(r"\d+ more not shown", rest[-1])


def test_long_labels_differ_in_their_first_19_characters():
    items = [f"/var/lib/bilingual-tutor/{n}" for n in range(60)]
    labels = [nagios.label("disk.used", item) for item in items]
    assert len({label[:19] for label in labels}) == len(labels)
    assert labels[0].endswith(items[0])
    assert nagios.label("disk.used", "/var") == "disk.used /var"


def test_nothing_looked_at_is_unknown_and_only_skipped_is_fine():
    assert nagios.render([]).code == 3
    skipped = Check("x", "host", "", Status.SKIPPED, "not_applicable", "no swap", "")
    envelope = make_envelope({"checks": [skipped.as_dict()], "state": {}}, "a", "", "", "", {})
    assert nagios.render([envelope]).code == 0


# --- Prometheus ------------------------------------------------------------------------------------------------------
SAMPLE = re.compile(r'(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (?P<value>\S+)')


def samples(text):
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            key = (match["name"], match["labels"])
            assert key not in found, f"twice: {line}"
            found[key] = float(match["value"])
    return found


@given(envelopes=runs())
@settings(max_examples=80, deadline=None)
def test_textfile_gauges_sum_up_to_the_counts(envelopes):
    _state, tally = truth(envelopes)
    text = textfile.render(envelopes)
    total = dict.fromkeys(tally, 0)
    for (name, labels), value in samples(text).items():
        if name == "ops_checks":
            total[re.search(r'status="(\w+)"', labels)[1]] += value
    assert total == tally
    heads = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    assert len(heads) == len(set(heads))


@given(envelopes=runs())
@settings(max_examples=15, deadline=None)
@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian package prometheus)")
def test_promtool_accepts_the_textfile(envelopes):
    result = subprocess.run(
        ["promtool", "check", "metrics"],
        input=textfile.render(envelopes),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_textfile_drops_what_is_beyond_the_cap_and_counts_it():
    many = [Check("a", "host", str(n), Status.OK, "ok", "", "", value=1.0) for n in range(230)]
    many.append(Check("bad", "host", "", Status.CRITICAL, "state", "", ""))
    text = textfile.render([make_envelope({"checks": [c.as_dict() for c in many], "state": {}}, "a", "", "", "", {})])
    found = samples(text)
    assert len([name for name, _labels in found if name == "ops_check_status"]) == 200
    assert found["ops_checks_dropped", 'host="a",run="daily"'] == 31
    assert any(name == "ops_check_status" and 'check="bad"' in labels for name, labels in found), "the worst stay"


# --- Terminal and Markdown -------------------------------------------------------------------------------------------
@given(envelopes=runs(), locale=st.sampled_from(["en", "zh"]), plain=st.booleans())
@settings(max_examples=80, deadline=None)
def test_terminal_stays_in_80_columns_and_sends_no_control_characters(envelopes, locale, plain):
    for line in terminal.render(envelopes, locale=locale, plain=plain, seconds=1.0, failed={"a\x1b[1m": "b\nc" * 90}):
        assert terminal.width(line.text) <= 80
        assert line.text.isprintable()


def test_an_encoding_without_chinese_gets_english_and_ascii():
    envelope = make_envelope({"unreachable": True, "msg": "无"}, "主机", "", "", "", {})
    text = "\n".join(line.text for line in terminal.render([envelope], locale="zh", encoding="ascii"))
    assert text.isascii() and "no connection: ?" in text and "X Critical 1" in text
    chinese = "\n".join(line.text for line in terminal.render([envelope], locale="zh", encoding="gbk"))
    assert "X 严重 1" in chinese and "无法连接：无" in chinese


def test_unreachable_hosts_come_first():
    full = Check("a.a", "host", "", Status.CRITICAL, "state", "disk full", "")
    envelopes = [
        make_envelope({"checks": [full.as_dict()], "state": {}}, "alpha", "", "", "", {}),
        make_envelope({"unreachable": True, "msg": "timed out"}, "omega", "", "", "", {}),
    ]
    shown = [line.text for line in terminal.render(envelopes) if line.text.startswith("✖ ")][1:]
    assert [line.split()[1] for line in shown] == ["omega", "alpha"]


@pytest.mark.parametrize("columns", [4, 10, 40])
@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_wrapping_loses_no_character_and_keeps_the_width(text, columns):
    line = terminal.clean(text)
    lines = terminal.wrap(line, columns)
    assert "".join("".join(lines).split()) == "".join(line.split())
    assert all(terminal.width(part) <= columns for part in lines)


def test_markdown_shows_hostile_text_as_text():
    for nasty in NASTY:
        check = Check("x", "host", nasty[:50], Status.CRITICAL, "state", nasty, "", evidence=[nasty])
        envelope = make_envelope({"checks": [check.as_dict()], "state": {}}, "a|b", "", "", "", {})
        text = markdown.render([envelope])
        assert "<script" not in text and "<img" not in text
        assert "](" not in text.replace("\\](", "").replace("\\]\\(", "")
        assert not re.search(r"https://", text)
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}


def test_an_unreadable_check_is_a_finding():
    envelope = {"host": "a", "checks": [{"id": "x"}, 5]}
    assert nagios.render([envelope]).code == 3
    assert "a record could not be read" in nagios.render([envelope]).text
