# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The anchor: a small file beside the ledger that says how far it had come.

A hash chain proves that nothing inside was changed, not that nothing was cut off its end: a shorter ledger, or an
older copy put in its place, is a valid chain too. The anchor names the ledger, its last event and that event's hash.
It is written after each commit, so after a crash it may lag behind the ledger, and it never leads.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

FORMAT = "ops.ledger.anchor/1"


@dataclass(frozen=True)
class Anchor:
    """``ledger`` is the random id of the ledger; ``seq`` 0 with the genesis hash for one without events."""

    ledger: str
    seq: int
    hash: str


def anchor_path(ledger: Path) -> Path:
    """Return where the anchor of a ledger lies."""
    return ledger.with_name(ledger.name + ".anchor")


def read_anchor(ledger: Path) -> Anchor | None:
    """Return the anchor of a ledger, None when there is none; raise OpsError when it cannot be read or is damaged."""
    path = anchor_path(ledger)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise OpsError(
            f"ledger anchor {path} cannot be read: {exc.strerror}; give this user read access to it"
        ) from exc
    try:
        record = json.loads(raw)
        anchor = Anchor(record["ledger"], record["seq"], record["hash"])
        whole = raw == _encode(anchor)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise OpsError(
            f"ledger anchor {path} is damaged: expected one line of {FORMAT}. Keep a copy of it and of the ledger, then "
            "put back the anchor from the newest backup of both"
        )
    return anchor


class PendingAnchor:
    """The next anchor, on disk under another name: a full disk is found before the commit, not after it."""

    def __init__(self, ledger: Path, anchor: Anchor, owner: os.stat_result) -> None:
        self._final = anchor_path(ledger)
        self._pending = self._final.with_name(self._final.name + ".new")
        # A leftover of a killed writer goes; O_EXCL and O_NOFOLLOW so that root never writes through a planted link.
        self._pending.unlink(missing_ok=True)
        descriptor = os.open(self._pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        try:
            own_like(descriptor, owner)
            os.write(descriptor, _encode(anchor))
            os.fsync(descriptor)
        except BaseException:
            self.discard()
            raise
        finally:
            os.close(descriptor)

    def publish(self) -> None:
        """Make it the anchor, after the commit."""
        self._pending.replace(self._final)

    def discard(self) -> None:
        """Remove it, after a commit that failed."""
        self._pending.unlink(missing_ok=True)


def own_like(descriptor: int, owner: os.stat_result) -> None:
    """Give an open file mode 0640 whatever the umask, and the owner of another file when root makes it."""
    os.fchmod(descriptor, 0o640)
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _encode(anchor: Anchor) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(anchor)}, separators=(",", ":"), sort_keys=True).encode() + b"\n"
