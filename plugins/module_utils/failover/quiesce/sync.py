# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the last of a database that nobody writes any more: ``litestream replicate -once``, as the database's owner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import sent_epoch
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.passing import as_owner, become_passing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.settle import empty_log
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import end_with
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import lag, ltx


def send(database: str, options: Mapping[str, Any], deadline: Deadline) -> ltx.Header:
    """Bring the replica to the end of the log; return the header of the newest file. Raises OpsError when it did not."""
    epoch = sent_epoch(options["replication_epoch_file"])
    if epoch is None:
        raise OpsError(
            f"there is no {options['replication_epoch_file']}: expected the role replication to have been here. With sync "
            "false nothing is sent"
        )
    if lag.has_copied(database) and not lag.goes_on(database):
        # A Litestream that was down lately would miss what was written then. Without its log it copies the whole database.
        as_owner(database, lambda: empty_log(database), deadline, "wal_checkpoint(TRUNCATE)")
    seen = os.stat(database)
    parent = os.getpid()

    def before() -> None:
        become_passing(seen.st_uid, seen.st_gid)
        end_with(parent)  # a sender that outlived this run would write to the database beside the next one

    command = [options["binary"], "replicate", "-once", "-config", options["replication_config"]]
    output = run(command, deadline.remaining(), env={"REPLICATION_EPOCH": f"{epoch:04d}"}, before=before)
    if output.rc != 0:
        raise OpsError(
            f"{' '.join(command[:3])} ended with status {output.rc}: {output.complaint}. Expected all of {database} to be "
            f"sent for epoch {epoch}: is the standby reachable, and its disk not full?"
        )
    return lag.newest(database)
