# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the other host is reached by sftp: with the key and the host key of the replication, and no setting of anybody else."""

from __future__ import annotations

CONNECT_SECONDS = 5
# Seconds without an answer, three times over, until a connection counts as lost.
ALIVE_SECONDS = 5


def command(host: str, user: str, port: int, key: str, known_hosts: str) -> list[str]:
    """Return the words of an sftp that reads what to do from its standard input."""
    options = {
        "BatchMode": "yes",
        # Strict: a host that took the standby's address must not be believed.
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": str(ALIVE_SECONDS),
    }
    words = [f"-o{name}={value}" for name, value in options.items()]
    return ["sftp", "-F", "/dev/null", "-q", "-b", "-", "-P", str(port), "-i", key, *words, f"{user}@{host}"]
