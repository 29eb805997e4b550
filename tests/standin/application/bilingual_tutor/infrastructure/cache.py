# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Redis cache: a help when it is there, never a condition for serving."""

from __future__ import annotations

import time
from typing import Any

from bilingual_tutor.infrastructure.logs import logger

# A worker handles one request at a time: without a pause every request would wait for the same dead server again.
RETRY_SECONDS = 5.0
TIMEOUT_SECONDS = 1.0


class Cache:
    """One connection to Redis, opened at need, given up for some seconds after an error."""

    def __init__(self, host: str, port: int, password: str | None) -> None:
        self._address = {"host": host, "port": port, "password": password}
        self._client: Any = None
        self._not_before = 0.0

    def ping(self) -> bool:
        """Tell whether Redis answers."""
        return bool(self._ask("ping"))

    def get(self, key: str) -> str | None:
        """Return a cached value, None when there is none or no Redis."""
        value = self._ask("get", f"bilingual_tutor:{key}")
        return None if value is None else str(value)

    def put(self, key: str, value: str, seconds: int) -> None:
        """Keep a value for some seconds; without Redis do nothing."""
        self._ask("setex", f"bilingual_tutor:{key}", seconds, value)

    def _ask(self, command: str, *arguments: Any) -> Any:
        if time.monotonic() < self._not_before:
            return None
        try:
            return getattr(self._connected(), command)(*arguments)
        except (OSError, ImportError, self._errors()) as exc:
            logger.error("连接Redis失败: %s", exc)
            self._client = None
            self._not_before = time.monotonic() + RETRY_SECONDS
            return None

    def _connected(self) -> Any:
        if self._client is None:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            client = redis.Redis(
                **self._address,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),  # newer clients would try three times more, at a second each
            )
            client.ping()
            try:
                client.config_set("maxmemory", "256mb")
                client.config_set("maxmemory-policy", "allkeys-lru")
            except redis.ResponseError as exc:
                logger.warning("无法设置Redis内存策略: %s", exc)
            logger.info("成功连接到Redis服务器 %s:%s", self._address["host"], self._address["port"])
            self._client = client
        return self._client

    @staticmethod
    def _errors() -> type[Exception]:
        try:
            from redis.exceptions import RedisError
        except ImportError:
            return OSError
        return RedisError
