# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did, as opposed to what it saw: the results of its actions as facts, tables and lists in a language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import PurePath
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import clock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.drill import DrillWords
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import NAME_CHARS, clean
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import known, word
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import ORDER
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

# Kinds of the events that actions leave in the ledger, by the module that acts.
KINDS = {
    "sqlite_backup": "backup.run",
    "backup_offsite": "backup.offsite",
    "sqlite_backup_verify": "backup.verify",
    "sqlite_restore": "restore.run",
    "sqlite_maintenance": "maintenance.sqlite",
    "temp_clean": "maintenance.temp_clean",
    "ops_drill": "drill.run",
    "ops_salvage": "salvage.run",
    "ops_failover": "failover.run",
}
# A page, not a dump: the event in the ledger has them all.
NAMES = 40
# Enough of a hash to recognise it; where it is alone it is whole.
HASH_CHARS = 12


@dataclass(frozen=True)
class Table:
    """Rows under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Act:
    """One action on one host: named facts, tables and named lists, and the few words a terminal has room for.

    ``error`` is why it did not complete; ``good`` is false when it did, and found what it looked at bad.
    """

    host: str
    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    lists: list[tuple[str, list[str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    error: str = ""
    good: bool = True


Data = Mapping[str, Any]


def read(events: Iterable[Data], locale: str, zone: tzinfo) -> list[Act]:
    """Return what was done according to events ``{"kind", "subject", "data"}``, in their order."""
    return [act for event in events for act in _acts(event, _Words(locale, zone))]


def results(event: Data) -> list[Data]:
    """Return the results in an event: one, or those of several actions of its kind."""
    data = event["data"]
    several = data.get("results")
    return several if isinstance(several, list) else [data]


def _acts(event: Data, words: _Words) -> Iterator[Act]:
    host, title = clean(event["subject"], NAME_CHARS), words(f"act.{event['kind']}")
    good = []
    for data in results(event):
        if event["kind"] == "failover.run" and ("outcome" not in data or "act" in data):
            continue  # one step of it, or what was judged before: the end tells of the whole
        if data.get("failed") or data.get("unreachable") or data.get("timedout"):
            what = clean(data.get("what", ""), NAME_CHARS)
            error = f"{what}: {clean(data.get('msg', ''))}"
            # Where the data is now is what a restore that failed is read for.
            act = words.restore(host, title, data) if event["kind"] == "restore.run" else Act(host, title)
            yield replace(act, error=error, words=[])
        else:
            good.append(data)
    if good and event["kind"] == "backup.verify":
        table = words.verified(good)
        proved = all(data.get("ok") for data in good)
        yield Act(host, title, tables=[table], words=[" ".join(row[:2]) for row in table.rows], good=proved)
        return
    maker = _MAKERS.get(event["kind"], _Words.anything)
    for data in good:
        if event["kind"] == "drill.run" and "verdict" not in data:
            continue  # whether a drill may begin is no drill
        yield maker(words, host, title, data)


class _Words:
    """Writes values in a language and a time zone."""

    def __init__(self, locale: str, zone: tzinfo) -> None:
        self.locale, self.zone = locale, zone

    def __call__(self, key: str, **values: Any) -> str:
        return word(key, self.locale, **values) if known(key) else key.partition(".")[2]

    def seconds(self, value: Any) -> str:
        number = _number(value)
        return "" if number is None else f"{number:.3g} s" if number < 100 else f"{number:.0f} s"

    def size(self, value: Any) -> str:
        number = _number(value)
        return "" if number is None else size(number)

    def moment(self, value: Any) -> str:
        return clock.local(clean(value or "", 40), self.zone)

    def rows(self, rows: Any) -> str:
        counts = [_number(count) or 0 for count in rows.values()] if isinstance(rows, Mapping) else []
        return self("fact.tables_rows", tables=len(counts), rows=int(sum(counts))) if counts else ""

    def facts(self, *pairs: tuple[str, Any]) -> list[tuple[str, str]]:
        """Return the facts that have a value, each with its name."""
        return [(self(f"fact.{name}"), clean(value)) for name, value in pairs if value not in (None, "")]

    def lists(self, data: Data, *keys: str) -> list[tuple[str, list[str]]]:
        found = []
        for key in keys:
            names = [clean(name, NAME_CHARS) for name in data.get(key) or []]
            if names:
                more = [self("more", n=len(names) - NAMES)] if len(names) > NAMES else []
                found.append((f"{self(f'fact.{key}')} ({len(names)})", names[:NAMES] + more))
        return found

    def backup(self, host: str, title: str, data: Data) -> Act:
        facts = []
        for made in data.get("snapshots") or [data.get("snapshot") or {}]:
            packed = made.get("compress", "none") != "none"
            facts += [
                *self.facts(("snapshot", made.get("path")), ("bytes", self.size(made.get("bytes")))),
                *self.facts(("database_bytes", self.size(made.get("database_bytes")) if packed else "")),
                *self.facts(("sha256", made.get("sha256")), ("created", self.moment(made.get("created")))),
                *self.facts(("rows", self.rows(made.get("rows"))), ("engine", made.get("engine"))),
                *self.facts(*self.taken(made), ("pointer", made.get("pointer"))),
            ]
        archive = data.get("archive") or {}
        facts += self.facts(("archive", archive.get("path")), ("bytes", self.size(archive.get("bytes"))))
        facts += self.facts(("sha256", archive.get("sha256")), *self.taken(archive))
        lists = self.lists(data, "rejected", "removed", "cleaned")
        brief = [
            " ".join(filter(None, [_base(made.get("path")), self.size(made.get("bytes")), self.rows(made.get("rows"))]))
            for made in [*(data.get("snapshots") or [data.get("snapshot") or {}]), archive]
        ]
        return Act(host, title, facts, lists=lists, words=[*filter(None, brief), *(name for name, _names in lists)])

    def taken(self, made: Data) -> list[tuple[str, str]]:
        seconds = made.get("seconds") or {}
        return [(f"{part}_seconds", self.seconds(seconds.get(part))) for part in ("copy", "verify")]

    def verified(self, several: Sequence[Data]) -> Table:
        head = [self(f"fact.{name}") for name in ("snapshot", "verdict", "created", "rows", "sha256", "seconds")]
        rows = []
        for data in several:
            manifest = data.get("manifest") or {}
            rows.append(
                [
                    _base(data.get("file") or data.get("what")),
                    self("fact.good" if data.get("ok") else "fact.bad"),
                    self.moment(manifest.get("created")),
                    self.rows(data.get("rows")),
                    clean(data.get("sha256") or "")[:HASH_CHARS],
                    self.seconds((data.get("seconds") or {}).get("total")),
                ]
            )
        return Table(head, rows)

    def restore(self, host: str, title: str, data: Data) -> Act:
        manifest = data.get("manifest") or {}
        facts = self.facts(
            ("created", self.moment(manifest.get("created"))),
            ("source", manifest.get("source")),
            ("sha256", manifest.get("sha256")),
            ("rows", self.rows(manifest.get("rows"))),
            ("previous_path", data.get("previous_path")),
            ("failed_path", data.get("failed_path")),
            ("seconds", self.seconds((_number(data.get("duration_ms")) or 0) / 1000)),
        )
        steps = [
            [self(f"step.{clean(step.get('step', ''), NAME_CHARS)}"), self.seconds(step.get("seconds"))]
            for step in data.get("steps") or []
        ]
        rows = [
            [clean(table, NAME_CHARS), _text(count.get("before")), _text(count.get("after"))]
            for table, count in (data.get("rows") or {}).items()
            if count.get("before") != count.get("after")
        ]
        tables = [Table([self("fact.step"), self("fact.seconds")], steps)] if steps else []
        if rows:
            tables.append(Table([self("fact.table"), self("fact.before"), self("fact.after")], rows[:NAMES]))
        # As recorded: a terminal has no zone of its own.
        words = [
            clean(manifest.get("created") or ""),
            self.rows(manifest.get("rows")),
            clean(data.get("previous_path") or ""),
        ]
        return Act(host, title, facts, tables, words=[*filter(None, words)])

    def maintenance(self, host: str, title: str, data: Data) -> Act:
        head = [
            self(f"fact.{name}")
            for name in ("action", "result", "seconds", "stall", "database_bytes", "wal", "freelist")
        ]
        rows = []
        actions = data.get("actions") or {}
        # In the order in which they ran, which the ledger does not keep; then what another version may know besides.
        for name in [*(name for name in ORDER if name in actions), *(name for name in actions if name not in ORDER)]:
            done = actions[name]
            before, after = done.get("before") or {}, done.get("after") or {}
            stall = _number(done.get("stall_ms"))
            rows.append(
                [
                    clean(name, NAME_CHARS),
                    self(f"result.{clean(done.get('result', ''), NAME_CHARS)}"),
                    self.seconds(done.get("seconds")),
                    "" if stall is None else f"{stall:.0f} ms",
                    _change(self.size(before.get("bytes")), self.size(after.get("bytes"))),
                    _change(self.size(before.get("wal_bytes")), self.size(after.get("wal_bytes"))),
                    _change(_text(before.get("freelist")), _text(after.get("freelist"))),
                ]
            )
        return Act(host, title, tables=[Table(head, rows)], words=[" ".join(filter(None, row[:3])) for row in rows])

    def offsite(self, host: str, title: str, data: Data) -> Act:
        left = [f"{one.get('name', '')}: {one.get('reason', '')}" for one in data.get("left") or []]
        lists = self.lists({**data, "left": left}, "copied", "left", "removed")
        facts = self.facts(
            ("target", data.get("what")),
            ("bytes", self.size(data.get("bytes"))),
            ("present", data.get("present")),
            ("snapshot_id", data.get("snapshot_id")),
            ("seconds", self.seconds((_number(data.get("duration_ms")) or 0) / 1000)),
        )
        what = clean(data.get("what") or "", NAME_CHARS)
        return Act(host, title, facts, lists=lists, words=[what, *(name for name, _names in lists)])

    def cleaning(self, host: str, title: str, data: Data) -> Act:
        lists = self.lists(data, "removed")
        facts = self.facts(("freed", self.size(data.get("bytes"))))
        return Act(host, title, facts, lists=lists, words=[name for name, _names in lists])

    def salvage(self, host: str, title: str, data: Data) -> Act:
        """What was never replicated; of the other steps of a salvage that they were done."""
        manifest = data.get("manifest") or {}
        total = manifest.get("total") or {}
        what = clean(data.get("what") or "", NAME_CHARS)
        if not total:
            return Act(host, title, self.facts(("step", what)), words=[what])
        kinds = ("inserted", "updated", "deleted", "conflict")
        facts = self.facts(
            ("lost", _text(total.get("rows"))),
            ("conflict", _text(total.get("conflict"))),
            ("export", (manifest.get("sql") or {}).get("path")),
            ("sha256", (manifest.get("sql") or {}).get("sha256")),
            ("previous_path", data.get("aside")),
            ("seconds", self.seconds((_number(data.get("duration_ms")) or 0) / 1000)),
        )
        rows = [
            [clean(name, NAME_CHARS), _text(count.get("rows")), *(_text(count.get(kind)) for kind in kinds)]
            for name, count in (manifest.get("tables") or {}).items()
            if count.get("rows")
        ]
        head = [self(f"fact.{name}") for name in ("table", "lost", *kinds)]
        tables = [Table(head, rows[:NAMES])] if rows else []
        brief = data.get("aside") or (manifest.get("sql") or {}).get("path") or ""
        return Act(host, title, facts, tables, words=[f"{self('fact.lost')}: {_text(total.get('rows'))}", clean(brief)])

    def failover(self, host: str, title: str, data: Data) -> Act:
        """Who handed over to whom, and what it cost the users."""
        facts = self.facts(
            ("outcome", data.get("msg")),
            ("handed", " > ".join(clean(data.get(name) or "", NAME_CHARS) for name in ("old", "target"))),
            ("epoch", _text(data.get("epoch"))),
            ("gap", self.seconds(data.get("gap_s"))),
            ("rto", self.seconds(data.get("rto_s"))),
            ("rpo", self.seconds(data.get("rpo_s"))),
        )
        rows = [
            [
                clean(one.get("step"), NAME_CHARS),
                self.seconds(one.get("seconds")),
                clean(", ".join(one.get("hosts") or ())),
            ]
            for one in data.get("steps") or ()
        ]
        tables = [Table([self(f"fact.{name}") for name in ("step", "seconds", "hosts")], rows)] if rows else []
        return Act(host, title, facts, tables, words=[clean(data.get("msg") or "")])

    def drill(self, host: str, title: str, data: Data) -> Act:
        words = DrillWords(data, self.locale, self.moment)
        tables = [Table(head, rows) for head, rows in words.tables()]
        return Act(host, title, words.facts(), tables, words.lists(), words.brief(), good=words.passed)

    def anything(self, host: str, title: str, data: Data) -> Act:
        """An action of which no more is known than its result."""
        plain = [(key, value) for key, value in data.items() if isinstance(value, (str, int, float)) and value != ""]
        facts = [(clean(key, NAME_CHARS), clean(value)) for key, value in plain if key != "what"]
        return Act(host, title, facts, words=[value for _key, value in facts])


_MAKERS = {
    "backup.run": _Words.backup,
    "backup.offsite": _Words.offsite,
    "restore.run": _Words.restore,
    "maintenance.sqlite": _Words.maintenance,
    "maintenance.temp_clean": _Words.cleaning,
    "drill.run": _Words.drill,
    "salvage.run": _Words.salvage,
    "failover.run": _Words.failover,
}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _base(path: Any) -> str:
    return clean(PurePath(str(path or "")).name, NAME_CHARS)


def _text(value: Any) -> str:
    return "–" if value is None else clean(value, NAME_CHARS)


def _change(before: str, after: str) -> str:
    return before if before == after or not after or after == "–" else f"{before} → {after}"
