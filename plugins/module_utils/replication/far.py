# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica on another host has, asked by sftp with the key and the host key of the replication itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx, sftp


@dataclass(frozen=True)
class Far:
    """Where a replica lies: a directory here when ``host`` is empty."""

    path: str
    host: str = ""
    user: str = ""
    port: int = 22
    key: str = ""
    known_hosts: str = ""

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Far:
        """Read the options of the probe and of the module."""
        names = ("host", "user", "port", "key", "known_hosts")
        return cls(spec["replica"], **{name: spec[name] for name in names})

    def newest(self, deadline: Deadline) -> int:
        """Return the newest transaction copied there; raise OpsError when it cannot be looked at or has none."""
        try:
            files = self._asked(deadline) if self.host else ltx.copied(self.path)
        except OSError as exc:
            raise OpsError(f"{exc.filename}: {exc.strerror}") from exc
        if not files:
            raise OpsError("it has no files: expected what Litestream 0.5 writes")
        return max(one.last for one in files)

    def _asked(self, deadline: Deadline) -> list[ltx.Name]:
        words = sftp.command(self.host, self.user, self.port, self.key, self.known_hosts)
        output = run(words, deadline.remaining(), stdin=f"ls -1 {self.path}/ltx/{ltx.COPIED}\n")
        if output.rc != 0:
            raise OpsError(output.complaint)
        listed = (ltx.parse_name(ltx.COPIED, line.strip().rpartition("/")[2]) for line in output.stdout.splitlines())
        return [one for one in listed if one is not None]
