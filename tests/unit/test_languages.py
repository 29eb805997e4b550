# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every sentence of every area exists in both languages and says the same things; every rule can be applied."""

from __future__ import annotations

import ast
import importlib
import re
import string
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Range
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins" / "module_utils"
PACKAGE = "ansible_collections.bilingual_tutor.ops.plugins.module_utils"
NOT_KINDS = {"base", "registry", "runner", "waivers"}
HAN = re.compile(r"[\u4e00-\u9fff]")
# The link to a report in the other language stands in that language.
CROSSED = {"report.other_language"}
# Full-width in a Chinese sentence: a half-width comma or colon between Han characters is a slip.
SLIP = re.compile(r"[\u4e00-\u9fff][,;:?!][\u4e00-\u9fff ]")


def areas() -> dict[str, Area]:
    """Return every area in module_utils by the name of the module that declares it."""
    found = {}
    for path in sorted(UTILS.rglob("*.py")):
        if re.search(r"^AREA\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            name = ".".join(path.relative_to(UTILS).with_suffix("").parts)
            found[name] = importlib.import_module(f"{PACKAGE}.{name}").AREA
    return found


AREAS = areas()
SENTENCES = [
    pytest.param(text, id=f"{name}:{key}")
    for name, area in AREAS.items()
    for key, text in sorted(area.sentences.items())
    if key not in CROSSED
]
RULES = [
    pytest.param(key, rule, id=f"{name}:{key}")
    for name, area in AREAS.items()
    for key, rule in sorted(area.rules.items())
]


def names(template: str) -> set[str]:
    """Return the values a sentence wants; raise ValueError for one that cannot be formatted.

    A value that is itself words comes in both languages: ``window`` and ``window_zh`` are one.
    """
    return {
        re.split(r"[.\[]", name)[0].removesuffix("_zh")
        for _text, name, _spec, _conv in string.Formatter().parse(template)
        if name is not None
    }


def assert_same(text: Text) -> None:
    """Assert that both languages are there and want the same values."""
    assert text.en.strip(), "no English"
    assert text.zh.strip(), "no Chinese"
    assert not HAN.search(text.en), f"Chinese in the English text: {text.en}"
    assert "" not in names(text.en) | names(text.zh), f"a value without a name: {text}"
    assert names(text.en) == names(text.zh), f"other values: {text.en} / {text.zh}"
    slip = SLIP.search(text.zh)
    assert not slip, f"half-width punctuation: {slip.group() if slip else ''} in {text.zh}"


def test_there_are_areas():
    assert len(AREAS) >= len(registry.KINDS)


@pytest.mark.parametrize("text", SENTENCES)
def test_sentence_is_the_same_in_both_languages(text):
    assert_same(text)
    # Without a Han character a sentence was not translated, unless it is values and signs or one proper name.
    plain = "".join(part for part, *_rest in string.Formatter().parse(text.en))
    assert HAN.search(text.zh) or not re.search(r"[a-z]{3}", plain) or re.fullmatch(r"[A-Z]\w+", text.zh), (
        f"not translated: {text.zh}"
    )


@pytest.mark.parametrize(("key", "rule"), RULES)
def test_rule_can_be_read_and_applied(key, rule):
    assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", key), "expected dotted words of a-z, 0-9 and _"
    assert_same(rule.title)
    assert HAN.search(rule.title.zh), f"title not translated: {rule.title.zh}"
    assert_same(rule.fix)
    assert HAN.search(rule.fix.zh), f"fix not translated: {rule.fix.zh}"
    for level in (rule.warn, rule.crit):
        if level:
            Range.parse(level)
    if rule.warn or rule.crit:
        assert rule.source, "a number without its source"


def test_catalogue_has_every_area_and_no_key_twice():
    listed = {id(area) for area in catalogue.areas()}
    assert [name for name, area in AREAS.items() if id(area) not in listed] == []
    sentences = [key for area in catalogue.areas() for key in area.sentences]
    assert len(sentences) == len(set(sentences))


def test_every_file_of_the_probes_is_registered():
    files = {path.stem for path in (UTILS / "probes").glob("*.py")} - NOT_KINDS
    assert files
    assert files == set(registry.KINDS)
    for kind, module in registry.KINDS.items():
        assert module.__name__.rpartition(".")[2] == kind


def test_every_kind_is_imported_by_name_so_that_ansible_packs_it():
    tree = ast.parse((UTILS / "probes/registry.py").read_text(encoding="utf-8"))
    probes = registry.__package__
    named = [node.names for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == probes]
    assert {alias.name for names in named for alias in names} == set(registry.KINDS)
