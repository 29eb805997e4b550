# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quiesce and promote as a switchover uses them: what was acknowledged is there, and each call may be repeated."""

from __future__ import annotations

from typing import Any

from pair import EPOCH, Pair, call


def test_everything_acknowledged_is_on_the_standby(pair: Pair, returns_as_documented: Any) -> None:
    writer = pair.write()
    quiesced = call("ops_quiesce", **pair.primary.quiescing())
    returns_as_documented("ops_quiesce", quiesced)
    pair.last_words(writer)
    assert quiesced["changed"] and quiesced["synced"] and quiesced["after"]["state"] == "fenced"
    assert pair.primary.names() == {"learning.db", ".learning.db-litestream"}, "one file, and no log"
    assert pair.primary.foreign() == []
    pair.receive()
    pair.standby.fence()
    handed_on = {name: quiesced[name] for name in ("txid", "digest")}
    placed = call("ops_promote", **pair.standby.promoting("placed", **handed_on))
    returns_as_documented("ops_promote", placed)
    assert placed["changed"] and placed["rpo"]["txid"] == quiesced["txid"]
    assert placed["rpo"]["rows"] == quiesced["rows"] == pair.standby.rows() + pair.standby.rows("users")
    assert pair.standby.names() == {"learning.db"} and pair.standby.foreign() == []
    assert pair.standby.path.read_bytes() == pair.primary.path.read_bytes()
    lost = pair.acknowledged - pair.standby.ids()
    assert pair.acknowledged and not lost
    assert pair.standby.epoch_file.read_text() == f"REPLICATION_EPOCH={EPOCH + 1:04d}\n"
    again = call("ops_promote", **pair.standby.promoting("placed", **handed_on))
    assert not again["changed"] and again["rpo"] == placed["rpo"]
    once_more = call("ops_quiesce", **pair.primary.quiescing())
    assert not once_more["changed"] and once_more["digest"] == quiesced["digest"]
