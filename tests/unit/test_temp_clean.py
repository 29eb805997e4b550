# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""temp_clean on real directories: what it removes, what it must never remove, and what may happen meanwhile."""

from __future__ import annotations

import ctypes
import fcntl
import io
import json
import mmap
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.durations import seconds
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import file as probe
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean import clean as tempclean
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean import walk
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.rules import Rules
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.selection import Selection

ROOT = Path(__file__).parents[2]
MODULE = ROOT / ".tree/ansible_collections/bilingual_tutor/ops/plugins/modules/temp_clean.py"
ME = pwd.getpwuid(os.geteuid()).pw_name
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def make(path: Path, text: str = "litter") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def two_days_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all files be two days old; the time of change (ctime) cannot be set by anybody, so the clock is moved."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 2 * 86400)


def rules(path: Path, **options: Any) -> Rules:
    return Rules.from_options({"paths": [str(path)], "owners": [ME], **options})


def clean(path: Path, **options: Any) -> Selection:
    return tempclean.clean(rules(path, **options), Deadline(10))


def reasons(selection: Selection) -> dict[str, str]:
    return {os.path.basename(one.path): one.reason for one in selection.kept}


# ---------------------------------------------------------------- what goes, what stays


def test_stale_files_go_and_others_stay(tmp_path: Path, two_days_later: None) -> None:
    gone = [
        make(tmp_path / name) for name in ("bilingual_1", "x-bilingual-2.csv", "deep/er/my_bilingual", "名bilingual字")
    ]
    stay = [make(tmp_path / name) for name in ("other", "deep/Bilingual_case", "bilingual_dir/inside")]
    selection = clean(tmp_path)
    assert sorted(one.path for one in selection.stale) == sorted(map(str, gone))
    assert not any(path.exists() for path in gone) and all(path.exists() for path in stay)
    assert selection.kept == []


def test_empty_directories_of_that_name_go_full_ones_stay(tmp_path: Path, two_days_later: None) -> None:
    (tmp_path / "bilingual_empty").mkdir()
    (tmp_path / "empty_other").mkdir()
    make(tmp_path / "bilingual_full" / "kept")
    clean(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["bilingual_full", "empty_other"]


def test_both_clocks_must_say_old(tmp_path: Path) -> None:
    path = make(tmp_path / "bilingual_copied")
    os.utime(path, (1e9, 1e9))
    selection = clean(tmp_path)
    assert reasons(selection) == {"bilingual_copied": "young"} and path.exists()


def test_a_young_file_of_old_change_time_stays(tmp_path: Path, two_days_later: None) -> None:
    path = make(tmp_path / "bilingual_future")
    os.utime(path, (time.time() + 3 * 86400,) * 2)
    assert reasons(clean(tmp_path)) == {"bilingual_future": "young"} and path.exists()


@root_only
def test_files_of_others_stay(tmp_path: Path, two_days_later: None) -> None:
    theirs, ours = make(tmp_path / "bilingual_theirs"), make(tmp_path / "bilingual_ours")
    os.chown(theirs, 65534, 65534)
    assert reasons(clean(tmp_path)) == {"bilingual_theirs": "owner"}
    assert theirs.exists() and not ours.exists()


def test_private_directories_of_services_are_never_entered(tmp_path: Path, two_days_later: None) -> None:
    live = make(tmp_path / "systemd-private-0a1b-bilingual-tutor.service-x" / "tmp" / "bilingual_upload")
    selection = clean(tmp_path)
    assert live.exists() and selection.stale == [] and selection.kept == []


def test_links_are_neither_followed_nor_removed(tmp_path: Path, two_days_later: None) -> None:
    outside = make(tmp_path / "outside" / "bilingual_precious")
    inside = tmp_path / "tmp"
    inside.mkdir()
    (inside / "bilingual_link").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent)
    (inside / "bilingual_folder").symlink_to(outside.parent)
    assert reasons(clean(inside)) == {"bilingual_link": "symlink", "bilingual_folder": "symlink"}
    assert outside.exists() and len(os.listdir(inside)) == 3
    top = tmp_path / "link_to_tmp"
    top.symlink_to(outside.parent)
    assert reasons(clean(top)) == {"link_to_tmp": "symlink"} and outside.exists()
    assert reasons(clean(top / "nothing")) in ({"nothing": "symlink"}, {}) and outside.exists()


def test_sockets_and_pipes_stay(tmp_path: Path, two_days_later: None) -> None:
    os.mkfifo(tmp_path / "bilingual.pipe")
    folder = os.open(tmp_path, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/bilingual.sock")
        assert reasons(clean(tmp_path)) == {"bilingual.pipe": "special", "bilingual.sock": "special"}
    os.close(folder)


def map_without_descriptor(path: Path) -> Callable[[], None]:
    """Map a file and close it, as a library does; Python's own mmap keeps the descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with path.open("rb") as stream:
        address = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, stream.fileno(), 0)
    assert address != ctypes.c_void_p(-1).value
    return lambda: libc.munmap(address, 4096)


def test_files_that_are_open_mapped_or_somebodys_directory_stay(tmp_path: Path, two_days_later: None) -> None:
    make(tmp_path / "bilingual_open"), make(tmp_path / "bilingual_mapped"), make(tmp_path / "bilingual_loose")
    (tmp_path / "bilingual_cwd").mkdir()
    unmap = map_without_descriptor(tmp_path / "bilingual_mapped")
    with (tmp_path / "bilingual_open").open() as held:
        child = subprocess.Popen(["sleep", "60"], stdin=held, cwd=tmp_path / "bilingual_cwd")
        held.close()
        try:
            assert reasons(clean(tmp_path)) == {f"bilingual_{name}": "open" for name in ("open", "mapped", "cwd")}
        finally:
            child.kill()
            child.wait()
            unmap()
    assert sorted(one.path for one in clean(tmp_path).stale) == [
        str(tmp_path / f"bilingual_{name}") for name in ("cwd", "mapped", "open")
    ]


@root_only
@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_mounts_are_not_crossed_even_bind_mounts_of_the_same_device(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere" / "bilingual_precious")
    for name in ("plain", "bilingual_mount"):
        (tmp_path / "tmp" / name).mkdir(parents=True)
    make(tmp_path / "tmp" / "bilingual_litter")
    script = 'for d in plain bilingual_mount; do mount --bind "$1/elsewhere" "$1/tmp/$d"; done; exec "$2" -c "$3" "$1/tmp" "$4"'
    code = """if True:
        import json, sys, time
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.clean import run
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
        now = time.time
        time.time = lambda: now() + 2 * 86400
        done = run({"paths": [sys.argv[1]], "owners": [sys.argv[2]]}, Deadline(10), False)
        print(json.dumps([done["removed"], done["kept"]]))
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code, ME],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    removed, kept = json.loads(done.stdout)
    assert removed == [str(tmp_path / "tmp" / "bilingual_litter")]
    assert kept == [{"path": str(tmp_path / "tmp" / "bilingual_mount"), "reason": "mount"}]
    assert (tmp_path / "elsewhere" / "bilingual_precious").exists()


def test_the_limit_is_kept_and_told(tmp_path: Path, two_days_later: None) -> None:
    for number in range(5):
        make(tmp_path / f"bilingual_{number}")
    selection = clean(tmp_path, limit=2)
    assert len(selection.stale) == 2 and [one.reason for one in selection.kept] == ["limit"] * 3
    assert len(os.listdir(tmp_path)) == 3


def test_no_time_is_said(tmp_path: Path, two_days_later: None) -> None:
    make(tmp_path / "bilingual_1")
    selection = tempclean.clean(rules(tmp_path), Deadline(0))
    assert selection.partial and os.listdir(tmp_path) == ["bilingual_1"]


# ---------------------------------------------------------------- races


@pytest.mark.parametrize("what", ["link", "directory"])
def test_a_directory_that_is_swapped_meanwhile_deletes_nothing_elsewhere(
    tmp_path: Path, two_days_later: None, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Swapped at the worst moment: after it was seen to be a directory, before it is opened."""
    outside, folder = tmp_path / "outside", tmp_path / "tmp"
    precious = make(outside / "bilingual_precious")
    make(folder / "sub" / "bilingual_litter")
    open_directory = walk._open_directory

    def swap(name: str, parent: int) -> int:
        if name == "sub" and not (folder / "aside").exists():
            os.rename(folder / "sub", folder / "aside")
            if what == "link":
                (folder / "sub").symlink_to(outside)
            else:
                os.rename(outside, folder / "sub")
        return open_directory(name, parent)

    monkeypatch.setattr(walk, "_open_directory", swap)
    selection = clean(folder)
    assert (folder / "aside").exists(), "the swap took place"
    assert selection.stale == []
    assert precious.exists() if what == "link" else (folder / "sub" / precious.name).exists()


@pytest.mark.parametrize("what", ["link", "directory"])
def test_a_directory_that_is_swapped_while_it_is_searched_deletes_in_the_one_that_was_opened(
    tmp_path: Path, two_days_later: None, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "tmp"
    precious = make(outside / "bilingual_same_name")
    make(folder / "sub" / "bilingual_same_name")
    unlink = walk._Walk._unlink

    def swap(self: Any, *args: Any) -> str:
        os.rename(folder / "sub", folder / "aside")
        if what == "link":
            (folder / "sub").symlink_to(outside)
        else:
            shutil.copytree(outside, folder / "sub")
        return unlink(self, *args)

    monkeypatch.setattr(walk._Walk, "_unlink", swap)
    assert len(clean(folder).stale) == 1
    assert precious.exists() and (folder / "sub" / "bilingual_same_name").exists()
    assert os.listdir(folder / "aside") == []


def test_a_name_that_becomes_another_file_between_look_and_removal_stays(
    tmp_path: Path, two_days_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = make(tmp_path / "bilingual_1")
    fresh = make(tmp_path / "new")
    os.utime(fresh, ns=(victim.stat().st_mtime_ns,) * 2)
    why_not = walk._Walk._why_not

    def swap(self: Any, *args: Any) -> str:
        reason = why_not(self, *args)
        if fresh.exists():
            os.rename(fresh, victim)
        return reason

    monkeypatch.setattr(walk._Walk, "_why_not", swap)
    assert reasons(clean(tmp_path)) == {"bilingual_1": "changed"} and victim.exists()


def test_a_killed_run_leaves_nothing_but_less_litter(tmp_path: Path) -> None:
    for number in range(3000):
        make(tmp_path / f"bilingual_{number:04}", "")
    keep = make(tmp_path / "other")
    code = (
        "import sys, time\n"
        "from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.clean import run\n"
        "from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline\n"
        "now = time.time\n"
        "time.time = lambda: now() + 2 * 86400\n"
        "print('go', flush=True)\n"
        "run({'paths': [sys.argv[1]], 'owners': [sys.argv[2]], 'limit': 9999}, Deadline(20), False)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), ME],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        stdout=subprocess.PIPE,
    )
    deadline = Deadline(10)
    while len(os.listdir(tmp_path)) > 2990 and child.poll() is None and not deadline.expired:
        pass
    child.kill()
    child.communicate()
    left = os.listdir(tmp_path)
    assert 1 < len(left) < 3001, "killed in the middle"
    assert keep.exists() and all(name == "other" or name.startswith("bilingual_") for name in left)
    again = tempclean.select(rules(tmp_path, min_age="0s", limit=9999), Deadline(10))
    assert len(again.stale) == len(left) - 1


def test_a_second_run_is_refused_with_the_holder(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(OpsError, match=rf"{tmp_path} is in use by (pid {os.getpid()} |another process)"):
        clean(tmp_path)
    os.close(descriptor)
    assert clean(tmp_path).stale == []


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"paths": ["/"]}, "not a directory for temporary"),
        ({"paths": ["//"]}, "not a directory for temporary"),
        ({"paths": ["/tmp/../etc"]}, "without .."),
        ({"paths": ["tmp"]}, "absolute"),
        ({"paths": ["/etc"]}, "not a directory for temporary"),
        ({"paths": ["/usr/lib/x"]}, "not a directory for temporary"),
        ({"paths": ["/home"]}, "not a directory for temporary"),
        ({"paths": ["/var/"]}, "not a directory for temporary"),
        ({"paths": []}, "at least one"),
        ({"patterns": []}, "at least one"),
        ({"patterns": [""]}, "fits any name"),
        ({"patterns": ["*"]}, "fits any name"),
        ({"patterns": ["?*[a-z]*"]}, "fits any name"),
        ({"patterns": ["*.a"]}, "fits any name"),
        ({"patterns": ["a/b*bilingual"]}, "without a slash"),
        ({"patterns": [".."]}, "without a slash"),
        ({"owners": []}, "at least one"),
        ({"owners": ["no-such-user"]}, "no user of this host"),
        ({"min_age": "soon"}, "duration"),
        ({"min_age": "-1d"}, "duration"),
        ({"limit": 0}, "above 0"),
    ],
)
def test_what_could_reach_further_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OpsError, match=words):
        Rules.from_options({"owners": [ME], **options})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45", 45), ("45s", 45), ("90m", 5400), ("12h", 43200), ("1d", 86400), ("1.5d", 129600), ("2w", 1209600)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


# ---------------------------------------------------------------- the module


def run_module(*, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run the module as Ansible does, as a program with its arguments on stdin."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check, "_ansible_diff": True}}
    code = (
        "import sys, json\n"
        "from ansible.module_utils import basic\n"
        "try:\n"
        "    from ansible.module_utils.testing import patch_module_args\n"
        "    context = patch_module_args(json.load(sys.stdin)['ANSIBLE_MODULE_ARGS'])\n"
        "except ImportError:\n"
        "    raise SystemExit('ansible-core is too old')\n"
        "from ansible_collections.bilingual_tutor.ops.plugins.modules import temp_clean\n"
        "with context:\n"
        "    temp_clean.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(arguments),
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return dict(json.load(io.StringIO(done.stdout)))


def test_four_runs(tmp_path: Path) -> None:
    """Check, run, run again, check again."""
    stale = make(tmp_path / "bilingual_old", "x" * 5000)
    make(tmp_path / "other")
    deadline = Deadline(5)
    while time.time() - stale.stat().st_ctime < 0.3 and not deadline.expired:
        time.sleep(0.05)
    spec = {"paths": [str(tmp_path)], "owners": [ME], "min_age": "0.25s"}
    first = run_module(check=True, **spec)
    assert first["changed"] and first["removed"] == [str(stale)] and stale.exists()
    assert first["bytes"] >= 5000 and first["diff"] == {"before": f"{stale}\n", "after": ""}
    assert first["checks"][0]["value"] == 1
    second = run_module(**spec)
    assert second["changed"] and second["removed"] == first["removed"] and not stale.exists()
    assert second["checks"][0]["id"] == "temp.stale" and second["checks"][0]["value"] == 0
    for check in (False, True):
        again = run_module(check=check, **spec)
        assert not again["changed"] and again["removed"] == [] and again["complete"]
    listed = subprocess.run(["find", tmp_path, "-type", "f"], capture_output=True, text=True, check=True).stdout.split()
    assert listed == [str(tmp_path / "other")]


def test_the_module_fails_in_words() -> None:
    told = run_module(paths=["/"], owners=[ME])
    assert told["failed"] and "not a directory for temporary files" in told["msg"]


# ---------------------------------------------------------------- the probe counts with the same code


def test_the_probe_counts_the_same_and_removes_nothing(tmp_path: Path, two_days_later: None) -> None:
    for number in range(3):
        make(tmp_path / f"bilingual_{number}")
    spec = {"temp": {"paths": [str(tmp_path)], "owners": [ME], "limit": 2}}
    found = probe.probe(spec, {}, Deadline(5)).checks[0]
    assert found.id == "temp.stale" and found.value == 3 and found.status == 0 and len(os.listdir(tmp_path)) == 3
    over = probe.probe({**spec, "thresholds": {"temp.stale": {"warn": "2"}}}, {}, Deadline(5)).checks[0]
    assert over.status == 1
    clean(tmp_path)
    assert probe.probe(spec, {}, Deadline(5)).checks[0].value == 0
