# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find, and remove, the temporary files an application left behind.

The runbook's ``find /tmp -name '*bilingual*' -mtime +1 -delete`` empties the private /tmp of the running service and
follows whatever others put into a directory that everybody may write to; this does neither (``walk.py`` says how).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.area import RULES, SENTENCES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.rules import Rules
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.selection import Found, Selection
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.walk import walk
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

# So many of the files that stay are named by the module.
SHOWN = 200


def select(rules: Rules, deadline: Deadline) -> Selection:
    """List what is stale, changing nothing."""
    return walk(rules, deadline, remove=False)


def clean(rules: Rules, deadline: Deadline) -> Selection:
    """Remove what is stale. Raises OpsError when another run holds one of the directories."""
    with contextlib.ExitStack() as stack:
        for path in rules.paths:
            stack.enter_context(_locked(path))
        return walk(rules, deadline, remove=True)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of a directory; of one that cannot be opened the walk tells what is wrong."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(locked(path, "cleaning it"))
        yield


def checks(rules: Rules, selection: Selection, say: Reporter, left: Sequence[Found] | None = None) -> list[Check]:
    """Return the check ``temp.stale``: how many there are, or with ``left`` how many are left."""
    stale = selection.stale if left is None else left
    more = [one.path for one in selection.kept if one.reason in ("limit", "failed")]
    count = len(stale) + len(more)
    reasons = Counter(one.reason for one in selection.kept)
    facts: dict[str, Any] = {
        "item": ", ".join(rules.paths),
        "size": size(sum(one.size for one in stale)),
        "kept": len(selection.kept) - len(more),
        "entries": selection.entries,
        "reasons": ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())) or "-",
        "evidence": [one.path for one in stale] + more,
    }
    if selection.partial:
        return [say.find("temp.stale", Status.UNKNOWN, "temp.partial", reason="timeout", value=count, **facts)]
    return [say.measure("temp.stale", count, "temp.count", min=0, **facts)]


# The same keys as in the area of the probe file, which the catalogue lists.
_ALONE = Area("file", RULES, SENTENCES)


def run(options: Mapping[str, Any], deadline: Deadline, check_mode: bool) -> dict[str, Any]:
    """Clean, or in check mode only select, and return what the module returns."""
    rules = Rules.from_options(options)
    selection = select(rules, deadline) if check_mode else clean(rules, deadline)
    gone = sorted(one.path for one in selection.stale)
    left = selection.stale if check_mode else []
    return {
        "changed": bool(gone),
        "removed": gone,
        "kept": [{"path": one.path, "reason": one.reason} for one in selection.kept[:SHOWN]],
        "kept_count": len(selection.kept),
        "bytes": selection.bytes,
        "complete": not selection.partial,
        "checks": [check.as_dict() for check in checks(rules, selection, _ALONE.reporter(source="temp_clean"), left)],
        "diff": {"before": "".join(f"{path}\n" for path in gone), "after": ""},
    }
