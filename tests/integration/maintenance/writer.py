# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that commits a number to the table ledger 200 times a second, and times each commit.

    python writer.py DATABASE

Says "ready" after its first commit, then "COMMITS WORST-SECONDS" when its standard input ends. A commit that fails ends it.
"""

from __future__ import annotations

import select
import sqlite3
import sys
import time

PAUSE = 0.005


def main() -> None:
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
    connection.execute("PRAGMA synchronous = NORMAL")
    count = connection.execute("SELECT count(*) FROM ledger").fetchone()[0]
    worst, first = 0.0, True
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        start = time.monotonic()
        connection.execute("INSERT INTO ledger (n) VALUES (?)", (count + 1,))
        count += 1
        # Everything an application does to rows frees and fills pages.
        if count % 10 == 0:
            connection.execute("UPDATE vocabulary SET word = word || 'x' WHERE id = ?", (count % 100 + 1,))
        worst = max(worst, time.monotonic() - start)
        if first:
            print("ready", flush=True)
            worst, first = 0.0, False
    print(count, worst, flush=True)


if __name__ == "__main__":
    main()
