# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service manager where there is no systemd: the commands of systemctl that a restore uses, for one unit at a time.

It really starts, stops and kills programs; the tests on lab hosts do the same with systemd itself. The state of a unit lies
in the directory of its name in ``STANDIN_SERVICE``: ``command`` (JSON) is what runs, ``pid`` the process, ``faults`` what goes wrong, a
word a line: ``start`` (does not start), ``deaf`` (does not stop), ``crash-on INODE`` (does not start with that database).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(os.environ["STANDIN_SERVICE"], sys.argv[-1])
STOP_SECONDS = 5.0


def running() -> int:
    """Return the process of the service, 0 when it does not run; its number alone could be somebody else's."""
    try:
        pid, start = (STATE / "pid").read_text(encoding="ascii").split()
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return int(pid) if fields[0] not in "ZX" and fields[19] == start else 0


def faults() -> list[str]:
    path = STATE / "faults"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def start() -> int:
    if running():
        return 0
    command = json.loads((STATE / "command").read_text(encoding="utf-8"))
    if (
        "start" in faults()
        or f"crash-on {os.stat(command[-1]).st_ino if os.path.exists(command[-1]) else 0}" in faults()
    ):
        print("Job for tutor.service failed because the control process exited with error code.", file=sys.stderr)
        return 1
    with (STATE / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    ticks = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    partial = STATE / "pid.partial"
    partial.write_text(f"{process.pid} {ticks}", encoding="ascii")
    partial.rename(STATE / "pid")
    return 0


def stop() -> int:
    pid = running()
    if not pid:
        return 0
    if "deaf" in faults():
        print("Job for tutor.service canceled.", file=sys.stderr)
        return 1
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while running():
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return 0


def show(names: list[str]) -> int:
    pid = running()
    known = {
        "LoadState": "loaded",
        "ActiveState": "active" if pid else "inactive",
        "SubState": "running" if pid else "dead",
        "MainPID": str(pid),
        "NRestarts": "0",
        "Result": "success",
        "TimeoutStopUSec": f"{STOP_SECONDS:.0f}s",
        "TimeoutStartUSec": "1min 30s",
    }
    for name in names:
        print(f"{name}={known.get(name, '')}")
    return 0


def main() -> int:
    verb = sys.argv[1]
    if verb == "show":
        (names,) = [word.partition("=")[2].split(",") for word in sys.argv if word.startswith("--property=")]
        return show(names)
    return {"start": start, "stop": stop, "reset-failed": lambda: 0}[verb]()


if __name__ == "__main__":
    sys.exit(main())
