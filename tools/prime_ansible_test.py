# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let ansible-test fill its virtual environments from the package index alone.

ansible-test downloads a get-pip script of one exact version from its own CI host, which a machine that reaches only a
package index cannot do. It looks into ~/.ansible/test/cache first: this puts an equal script there, which runs the
wheel of that pip beside it. Run it with the Python whose ansible-test is meant.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = '''"""Stand-in for get-pip: run pip from the wheel beside this file."""
import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).with_name("{wheel}")))
options = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--upgrade", "--force-reinstall"] + options
runpy.run_module("pip", run_name="__main__", alter_sys=True)
'''


def pip_version() -> str:
    """Return the version of pip that this Python's ansible-test asks for."""
    spec = importlib.util.find_spec("ansible_test")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{sys.executable} has no ansible_test: install ansible-core into it")
    source = Path(spec.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
    found = re.search(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"{source}: no line pip='X.Y' as ansible-core 2.19 to 2.21 have: adapt this script")
    return found[1]


def main() -> None:
    """Write the wheel and the script, each complete or not at all: two stages may run this at one time."""
    version = pip_version()
    cache = Path("~/.ansible/test/cache").expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    wheel = cache / f"pip-{version}-py3-none-any.whl"
    if not wheel.exists():
        part = cache / f"part-{os.getpid()}"
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(part), f"pip=={version}"]
        subprocess.run(download, check=True)
        os.replace(part / wheel.name, wheel)
        part.rmdir()
    part = cache / f"part-{os.getpid()}.py"
    part.write_text(SCRIPT.format(wheel=wheel.name), encoding="utf-8")
    os.replace(part, cache / f"get_pip_{version.replace('.', '_')}.py")


if __name__ == "__main__":
    main()
