# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and the probe as they run on a host: in a process of their own, with and without the library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.runner import run_probes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.engine import OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.modules import redis_stats

from .conftest import Server

ROOT = Path(__file__).parents[3]
SECRET = "tops3cret-passphrase"
UTILS = "ansible_collections.bilingual_tutor.ops.plugins.module_utils"


def _python(code: str, *arguments: str, python: tuple[str, ...] = (sys.executable,)) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".tree")}
    done = subprocess.run(
        [*python, "-c", textwrap.dedent(code), *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _module(before: str = "", **parameters: Any) -> dict[str, Any]:
    """Run the module's main as Ansible does and return what it printed."""
    code = f"""
    import json, sys
    {before}
    from ansible.module_utils.testing import patch_module_args
    from ansible_collections.bilingual_tutor.ops.plugins.modules import redis_stats
    with patch_module_args(json.loads(sys.argv[1])):
        try:
            redis_stats.main()
        except SystemExit:
            pass
    """
    return json.loads(_python(code, json.dumps(parameters)))


def test_module_and_check_mode_agree(system: Server, returns_as_documented: Callable[..., None]) -> None:
    system.start()
    plain = _module(unix_socket=system.socket)
    check = _module(unix_socket=system.socket, previous=plain["state"], _ansible_check_mode=True)
    for result in (plain, check):
        assert result["changed"] is False
        assert not result.get("failed")
        assert {entry["status"] for entry in result["checks"]} == {Status.OK, Status.SKIPPED}
        assert result["stats"]["server"]["name"] == "Redis"
    assert [entry["id"] for entry in plain["checks"]] == [entry["id"] for entry in check["checks"]]
    returns_as_documented("redis_stats", {key: value for key, value in plain.items() if key != "_ansible_no_log"})


def test_module_reports_a_dead_server_and_does_not_fail(system: Server) -> None:
    system.start().stop()
    result = _module(port=system.port, username="ops", password=SECRET)
    assert not result.get("failed")
    assert [(entry["id"], entry["status"]) for entry in result["checks"]] == [("redis.up", Status.CRITICAL)]


def test_module_without_the_library() -> None:
    result = _module("sys.modules['redis'] = None")
    assert result["failed"] is True
    assert "redis" in result["msg"]
    assert "python3-redis" not in result["msg"]
    assert "required Python library" in result["msg"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"thresholds": {"redis.hit_rate": {"warn": "80:x"}}}, "80:x"),
        ({"thresholds": {"redis.hitrate": {"warn": "80:"}}}, "did you mean redis.hit_rate"),
        ({"timeout": -1}, "above 0"),
        ({"tls": True, "tls_ca": "/nonexistent.pem"}, "/nonexistent.pem"),
    ],
)
def test_module_says_what_is_wrong_with_its_options(parameters: dict[str, Any], words: str, system: Server) -> None:
    system.start()
    result = _module(**{"port": system.port, **parameters})
    assert result["failed"] is True
    assert words in result["msg"]


def test_through_ansible_no_password_is_printed(system: Server, tmp_path: Path) -> None:
    system.start(requirepass=SECRET)
    play = tmp_path / "play.yml"
    task = {"password": SECRET, "unix_socket": system.socket}
    play.write_text(
        yaml.safe_dump(
            [
                {
                    "hosts": "localhost",
                    "gather_facts": False,
                    "tasks": [{"name": "Look", "bilingual_tutor.ops.redis_stats": task}],
                }
            ]
        )
    )
    ansible = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"), "ANSIBLE_LOCALHOST_WARNING": "false"}
    command = [
        str(ansible),
        "-vvv",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    done = subprocess.run(
        [*command, str(play)], env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "redis.up" in done.stdout
    assert SECRET not in done.stdout + done.stderr


# The probe


def test_probe_among_others(system: Server) -> None:
    system.start()
    state: dict[str, Any] = {}
    for _number in range(2):
        probes = registry.prepare_all([{"kind": "redis", "unix_socket": system.socket}])
        result = run_probes(probes, state, 10)
        state = result.state
        assert {check.status for check in result.checks} == {Status.OK, Status.SKIPPED}


def test_probe_says_itself_what_it_waited_for(system: Server) -> None:
    system.start().freeze()
    probes = registry.prepare_all([{"kind": "redis", "unix_socket": system.socket, "timeout": 0.8}])
    checks = [check for check in run_probes(probes, {}, 10).checks if check.id != "check.duration"]
    assert [(check.id, check.message) for check in checks] == [("redis.up", "redis.up.silent")]


def test_probe_without_the_library() -> None:
    code = f"""
    from {UTILS}.probes import redis as probe
    from {UTILS}.probes.base import Deadline
    spec = {{name: option["default"] for name, option in probe.OPTIONS.items()}}
    result = probe.probe({{**spec, "thresholds": {{}}}}, {{"run_id": "kept"}}, Deadline(5))
    (check,) = result.checks
    print(check.id, check.status.name, check.reason, result.state, check.summary)
    """
    # Without site-packages no installed library is in reach.
    printed = _python(code, python=(sys.executable, "-S"))
    assert printed.startswith("redis.up UNKNOWN missing {'run_id': 'kept'}")
    assert "prepare" in printed


def test_module_and_probe_take_the_same_options() -> None:
    documented = yaml.safe_load(redis_stats.DOCUMENTATION)["options"]
    own = {"previous", "thresholds", "timeout"}
    assert set(documented) - own == set(OPTIONS)
    for name, option in OPTIONS.items():
        assert {key: documented[name].get(key) for key in ("type", "default", "choices")} == {
            key: option.get(key) for key in ("type", "default", "choices")
        }


def test_examples_are_accepted() -> None:
    for task in yaml.safe_load(redis_stats.EXAMPLES):
        options = dict(task["bilingual_tutor.ops.redis_stats"] or {})
        options.pop("previous", None)
        registry.prepare({"kind": "redis", **options})


# What it costs


def test_only_a_part_of_the_library_is_imported_and_the_whole_stays_usable(system: Server) -> None:
    system.start()
    code = f"""
    import sys
    from {UTILS}.redis.wire import Target, exchange
    from {UTILS}.redis.parse import COMMANDS, parse
    from {UTILS}.probes.base import Deadline
    found = exchange(Target(unix_socket=sys.argv[1]), COMMANDS, Deadline(3), 1000)
    assert parse(found.replies, found.ping_ms).version
    assert not [name for name in sys.modules if name.startswith("redis")], "a part of redis is left in sys.modules"
    import redis
    print(redis.Redis(unix_socket_path=sys.argv[1]).ping())
    """
    assert _python(code, system.socket).strip() == "True"


def test_a_dead_resolver_is_bounded(tmp_path: Path) -> None:
    """A name server that swallows questions, in namespaces of its own."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare for a resolver of its own")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    code = tmp_path / "look.py"
    code.write_text(
        textwrap.dedent(f"""
        import socket, time
        from {UTILS}.probes.base import Deadline
        from {UTILS}.redis.engine import OPTIONS, inspect
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("127.0.0.1", 53))
        options = {{name: option["default"] for name, option in OPTIONS.items()}}
        begin = time.monotonic()
        found = inspect({{**options, "host": "cache.example.org"}}, {{}}, {{}}, Deadline(0.4))
        assert time.monotonic() - begin < 5  # 0.4, and room for a busy machine; the resolver's is 30
        print(found.checks[0].status.name, found.checks[0].message)
        """)
    )
    script = (
        f"mount --bind {resolv} $(readlink -f /etc/resolv.conf) && mount --bind {tmp_path}/nsswitch.conf /etc/nsswitch.conf"
        f" && ip link set lo up && exec {sys.executable} {code}"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".tree")}
    command = ["unshare", "--mount", "--net", "sh", "-c", script]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=20)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.stdout.strip() == "CRITICAL redis.up.resolver_silent", done.stderr
