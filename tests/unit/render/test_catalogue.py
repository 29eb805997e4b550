# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue says, and what it does about what it does not know."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status


def check(**fields):
    given = {"summary": "as the host wrote it", "message": "", **fields}
    return Check("host.reachable", "host", "", Status.CRITICAL, "missing", **given)


@pytest.mark.parametrize(("locale", "text"), [("en", "no connection: refused"), ("zh", "无法连接：refused")])
def test_a_known_message_is_rendered_with_its_values(locale, text):
    assert catalogue.summary(check(message="host.unreachable", params={"error": "refused"}), locale) == text


def test_an_unknown_message_stays_as_the_host_wrote_it():
    for locale in catalogue.LOCALES:
        assert catalogue.summary(check(message="of.another.version"), locale) == "as the host wrote it"
        assert catalogue.title("of.another.version", locale) == "of.another.version"
        assert catalogue.fix(check(fix="of.another.version"), locale) == ""


def test_values_are_never_templates():
    hostile = check(message="host.unreachable", params={"error": "{0.__class__} {error} %s"})
    assert catalogue.summary(hostile, "en") == "no connection: {0.__class__} {error} %s"
