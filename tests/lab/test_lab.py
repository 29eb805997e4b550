# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab program: what it boots, what it leaves alone and what it leaves behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import debian_tree
import lab
import pytest

NETS = range(20, 30)  # not those of a person (0), of molecule (1) and of the fault tests
ONE, TWO = "tutor5", "tutor6"

pytestmark = pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had")


@pytest.fixture(scope="module")
def ours() -> Iterator[lab.Lab]:
    """A lab with two hosts."""
    with lab.Lab.reserved(NETS) as made:
        made.up([ONE, TWO], fresh=True)
        yield made


def ssh(of: lab.Lab, name: str, command: str) -> str:
    """Run a command through ssh."""
    done = subprocess.run(
        ["ssh", "-F", of.ssh_config, name, command], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def traces(host: lab.Host) -> list[str]:
    """Return what there is of a host on this machine."""
    places = (host.directory, host.cgroup, Path("/sys/class/net", host.link), Path("/run/netns", host.machine))
    return [str(place) for place in places if place.exists()] + [
        str(p) for p in debian_tree.mounts_below(host.directory)
    ]


def test_hosts_serve_the_application_to_each_other(ours: lab.Lab) -> None:
    assert ssh(ours, ONE, "hostname") == ONE
    assert '"status": "healthy"' in ssh(ours, ONE, f"curl -s http://{TWO}/health")


def test_a_name_nobody_knows_is_refused_at_once(ours: lab.Lab) -> None:
    started = time.monotonic()
    assert ours.host(ONE).run("getent", "hosts", "nowhere.lab.test", check=False).returncode == 2
    assert time.monotonic() - started < 1


def test_up_leaves_a_host_that_is_up_and_fresh_renews_it(ours: lab.Lab) -> None:
    one, two = ours.host(ONE), ours.host(TWO)
    boots = one.boot_id(), two.boot_id()
    ours.up([ONE, TWO], fresh=False)
    assert (one.boot_id(), two.boot_id()) == boots
    one.run("touch", "/root/mark")
    ours.up([ONE], fresh=True)
    assert one.boot_id() != boots[0]
    assert two.boot_id() == boots[1]
    assert one.run("test", "-e", "/root/mark", check=False).returncode == 1


def test_up_boots_a_host_that_died(ours: lab.Lab) -> None:
    one = ours.host(ONE)
    (one.cgroup / "cgroup.kill").write_text("1")
    lab.wait_for("the end of the host", lambda: not one.is_up(), 10)
    assert one.state() == "dead"
    ours.up([ONE], fresh=False)
    assert one.state() == "up"


def test_a_reboot_keeps_the_disk(ours: lab.Lab) -> None:
    two = ours.host(TWO)
    boot = two.boot_id()
    two.run("touch", "/root/mark")
    two.reboot()
    assert two.boot_id() != boot
    two.run("test", "-e", "/root/mark")
    assert two.run("systemctl", "is-active", "bilingual-tutor").stdout == "active\n"


def test_a_host_that_boots_with_a_failed_unit_is_an_error(ours: lab.Lab) -> None:
    two = ours.host(TWO)
    unit = "[Service]\nType=oneshot\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"
    (two.root / "etc/systemd/system/broken.service").write_text(unit)
    two.run("systemctl", "enable", "broken.service")
    with pytest.raises(lab.LabError, match="degraded.*broken.service"):
        two.reboot()
    ours.up([TWO], fresh=True)


def test_down_leaves_nothing_and_no_other_lab_feels_it(ours: lab.Lab) -> None:
    boot = ours.host(ONE).boot_id()
    with lab.Lab.reserved(NETS) as other:
        assert other.net != ours.net
        other.up([ONE], fresh=True)
        host = other.host(ONE)
        assert len(traces(host)) == 5
    assert traces(host) == []
    assert not Path("/sys/class/net", other.bridge).exists()
    assert ours.host(ONE).boot_id() == boot
    assert ours.host(ONE).speaks()


def test_what_a_killed_build_left_is_removed_mounts_and_all(tmp_path: Path, ours: lab.Lab) -> None:
    base = debian_tree.base_tree(ours.cache)
    half = tmp_path / "app-000000000000.building"
    (half / "root").mkdir(parents=True)
    debian_tree.run("mount", "-t", "tmpfs", "tmpfs", half / "root")
    (half / "root" / "file").touch()
    layer = debian_tree.app_layer(tmp_path, base)
    assert [path.name for path in tmp_path.iterdir()] == [layer.name]
    assert debian_tree.mounts_below(tmp_path) == []
    assert (layer / "opt/bilingual-tutor").is_dir()


def test_unknown_names_and_nets_are_refused(ours: lab.Lab) -> None:
    with pytest.raises(lab.LabError, match="no host is called elsewhere: the lab knows tutor1"):
        ours.host("elsewhere")
    with pytest.raises(lab.LabError, match="expected 0 to 250"):
        lab.Lab(ours.cache, ours.directory, 251)
