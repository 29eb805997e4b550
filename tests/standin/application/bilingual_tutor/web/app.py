# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web application: a stand-in with the shape, the files and the habits of the real Bilingual Tutor.

Environment: ``DB_PATH``, ``LOG_FILE_PATH``, ``CACHE_HOST``, ``CACHE_PORT``, ``CACHE_PASSWORD`` as in the real one, and
``BILINGUAL_TUTOR_FAULT`` (path of the fault switch), ``BILINGUAL_TUTOR_GRANT`` (path of the grant, whose epoch a mark
tells) and ``BILINGUAL_TUTOR_HEALTH`` (``deep``, or ``absent``: /health is 404 as in the real Flask application).
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from bilingual_tutor.infrastructure import logs
from bilingual_tutor.infrastructure.cache import Cache
from bilingual_tutor.infrastructure.faults import FaultSwitch
from bilingual_tutor.storage.database import LearningDatabase

HOME = Path(__file__).resolve().parents[2]
VERSION = "2.0.0"
PAGE_SECONDS = 60
LONGEST_SLOW_MS = 10_000
LONGEST_MARK = 100

PAGE = """<!DOCTYPE html>
<html lang="zh-CN">
<head><meta charset="utf-8"><title>双语导师系统 · Bilingual Tutor</title></head>
<body>
<h1>双语导师系统</h1>
<p>仅限个人学习使用 · For personal learning only</p>
<p>词汇 {vocabulary} · 学习记录 {learning_records}</p>
</body>
</html>
"""

Answer = tuple[HTTPStatus, str, str]


class Tutor:
    """The application without its fault switch."""

    def __init__(self, database: LearningDatabase, cache: Cache, grant: Path, deep_health: bool) -> None:
        self._database = database
        self._cache = cache
        self._grant = grant
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Answer]] = {
            ("GET", "/"): self.page,
            ("GET", "/api/health"): self.shallow_health,
            ("GET", "/api/slow"): self.slow,
            ("POST", "/api/test"): self.test,
            ("POST", "/api/marks"): self.mark,
            ("GET", "/api/marks"): self.marks,
        }
        if deep_health:
            self._routes["GET", "/health"] = self.health

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        method = "GET" if environ["REQUEST_METHOD"] == "HEAD" else environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"]
        handler = self._routes.get((method, path))
        if handler is None:
            status, kind, text = HTTPStatus.NOT_FOUND, "text/html", "<h1>页面未找到</h1>\n"
        else:
            try:
                status, kind, text = handler(environ)
            except sqlite3.Error as exc:
                logs.logger.error("请求处理失败: %s %s: %s", method, path, exc)
                status, kind, text = HTTPStatus.INTERNAL_SERVER_ERROR, "text/html", "<h1>服务器内部错误</h1>\n"
        body = text.encode()
        start_response(
            f"{status.value} {status.phrase}",
            [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def page(self, environ: dict[str, Any]) -> Answer:
        """The start page, from the cache when it is there."""
        text = self._cache.get("page:home")
        if text is None:
            text = PAGE.format(vocabulary=self._count("vocabulary"), learning_records=self._count("learning_records"))
            self._cache.put("page:home", text, PAGE_SECONDS)
        return HTTPStatus.OK, "text/html", text

    def shallow_health(self, environ: dict[str, Any]) -> Answer:
        """A constant: it stays healthy with the database gone, as the real one does."""
        return answer(HTTPStatus.OK, status="healthy", version=VERSION)

    def health(self, environ: dict[str, Any]) -> Answer:
        """Database and cache. Without the cache the application serves, so that is ``degraded`` and still 200."""
        cache = "ok" if self._cache.ping() else "unavailable"
        try:
            words = self._count("vocabulary")
        except sqlite3.Error as exc:
            return answer(HTTPStatus.SERVICE_UNAVAILABLE, status="unhealthy", database=str(exc), cache=cache)
        status = "healthy" if cache == "ok" else "degraded"
        return answer(HTTPStatus.OK, status=status, database="ok", cache=cache, vocabulary=words, version=VERSION)

    def test(self, environ: dict[str, Any]) -> Answer:
        """Write one row, commit it, read it back."""
        token = uuid.uuid4().hex
        with self._database.query("insert_session") as connection:
            row = connection.execute("INSERT INTO sessions (user_id, token) VALUES ('api-test', ?)", (token,)).lastrowid
        with self._database.query("get_session") as connection:
            found = connection.execute("SELECT token FROM sessions WHERE id = ?", (row,)).fetchone()
        if found != (token,):
            return answer(HTTPStatus.INTERNAL_SERVER_ERROR, status="lost", id=row, token=token)
        return answer(HTTPStatus.OK, status="ok", id=row, token=token)

    def mark(self, environ: dict[str, Any]) -> Answer:
        """Commit a row that carries ``?id=`` and say who did, in which epoch.

        The table has no unique column for it: a request that was served twice must leave two rows.
        """
        name = parse_qs(environ.get("QUERY_STRING", "")).get("id", [""])[0]
        if not 0 < len(name) <= LONGEST_MARK:
            return answer(
                HTTPStatus.BAD_REQUEST, status="error", message=f"id: expected 1 to {LONGEST_MARK} characters"
            )
        node, epoch = os.uname().nodename, self._epoch()
        with self._database.query("insert_mark") as connection:
            connection.execute(
                "INSERT INTO content (title, body, content_type, language, level) VALUES (?, ?, 'mark', '-', '-')",
                (name, f"{node} {epoch}"),
            )
        return answer(HTTPStatus.OK, status="ok", id=name, node=node, epoch=epoch)

    def marks(self, environ: dict[str, Any]) -> Answer:
        """All marks whose id begins with ``?prefix=``, oldest first, each with who committed it in which epoch."""
        prefix = parse_qs(environ.get("QUERY_STRING", "")).get("prefix", [""])[0]
        with self._database.query("get_marks") as connection:
            rows = connection.execute(
                "SELECT title, body FROM content WHERE content_type = 'mark' AND substr(title, 1, ?) = ? ORDER BY id",
                (len(prefix), prefix),
            ).fetchall()
        return answer(HTTPStatus.OK, status="ok", node=os.uname().nodename, epoch=self._epoch(), marks=rows)

    def _epoch(self) -> int:
        """The epoch that this host was granted; 0 where nobody grants anything."""
        try:
            return int(json.loads(self._grant.read_text(encoding="utf-8"))["epoch"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0

    def slow(self, environ: dict[str, Any]) -> Answer:
        """A query of ``?ms=`` milliseconds, for the slow query log."""
        wanted = parse_qs(environ.get("QUERY_STRING", "")).get("ms", ["200"])[0]
        if not wanted.isdigit():
            return answer(HTTPStatus.BAD_REQUEST, status="error", message="ms: expected a number of milliseconds")
        milliseconds = min(int(wanted), LONGEST_SLOW_MS)
        with self._database.query("get_due_reviews") as connection:
            connection.execute("SELECT pause(?)", (milliseconds / 1000,)).fetchone()
        return answer(HTTPStatus.OK, status="ok", ms=milliseconds)

    def _count(self, table: str) -> int:
        with self._database.query(f"count_{table}") as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def answer(code: HTTPStatus, **fields: Any) -> Answer:
    """Return a JSON answer with its time."""
    fields["timestamp"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return code, "application/json", json.dumps(fields, ensure_ascii=False) + "\n"


def create_app() -> FaultSwitch:
    """Make the application of this worker and open its database; a database that does not open is logged, not fatal."""
    environ = os.environ
    logs.set_up(Path(environ.get("LOG_FILE_PATH", HOME / "logs/bilingual_tutor.log")))
    database = LearningDatabase(Path(environ.get("DB_PATH", HOME / "bilingual_tutor/storage/learning.db")))
    cache = Cache(
        environ.get("CACHE_HOST", "127.0.0.1"), int(environ.get("CACHE_PORT", "6379")), environ.get("CACHE_PASSWORD")
    )
    try:
        with database.query("open"):
            logs.logger.info("数据库已打开")
    except sqlite3.Error:
        logs.logger.error("数据库打开失败, 每个请求将重试")
    cache.ping()
    grant = Path(environ.get("BILINGUAL_TUTOR_GRANT", "/run/tutor-ops/grant"))
    tutor = Tutor(database, cache, grant, deep_health=environ.get("BILINGUAL_TUTOR_HEALTH", "deep") == "deep")
    return FaultSwitch(tutor, Path(environ.get("BILINGUAL_TUTOR_FAULT", "/run/bilingual-tutor/fault")))


app = create_app()
