# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message catalogue: every sentence, title and advice of all areas, in both languages."""

from __future__ import annotations

from functools import lru_cache

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text, merge
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill import area as drill
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import area as failover
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite import area as offsite
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry, runner, waivers
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import words
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage import area as salvage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain import area as maintenance
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import area as restore_area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import area as backup_area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import area as verify_area

LOCALES = ("en", "zh")


def areas() -> list[Area]:
    """Return every area there is, each once."""
    probes = [module.AREA for module in registry.KINDS.values()]
    acts = [backup_area.AREA, verify_area.AREA, restore_area.AREA, maintenance.AREA, offsite.AREA, salvage.AREA]
    acts += [failover.AREA, drill.AREA]
    found = [envelope.AREA, envelope.ACTIONS, runner.AREA, waivers.AREA, verify.AREA, words.AREA, *acts, *probes]
    return list({id(area): area for area in found}.values())


@lru_cache(maxsize=1)
def _merged() -> tuple[dict[str, Rule], dict[str, Text]]:
    return merge(areas())


def summary(check: Check, locale: str) -> str:
    """Return a check's sentence in a locale; one that this version does not know stays as the host wrote it."""
    text = _merged()[1].get(check.message)
    return text.render(locale, check.words) if text else check.summary


def title(check_id: str, locale: str) -> str:
    """Return what a check is called; its id when this version does not know it."""
    rule = _merged()[0].get(check_id)
    return rule.title.render(locale, {}) if rule else check_id


def fix(check: Check, locale: str) -> str:
    """Return what to do about a finding; empty when there is nothing to do or this version does not know."""
    rule = _merged()[0].get(check.fix)
    return rule.fix.render(locale, check.words) if rule else ""
