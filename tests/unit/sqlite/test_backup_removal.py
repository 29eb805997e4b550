# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a large file frees its space in steps, and never from a file that somebody still has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import dest as module
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.dest import Destination

STEP = 1 << 20
SIZE = 5 * STEP // 2


@pytest.fixture
def lengths(monkeypatch) -> list[int]:
    """Which lengths a file was cut to."""
    found: list[int] = []
    cut = os.ftruncate
    monkeypatch.setattr(module, "FREED_AT_ONCE", STEP)
    monkeypatch.setattr(module.os, "ftruncate", lambda descriptor, size: (found.append(size), cut(descriptor, size))[1])
    return found


@pytest.fixture
def dest(tmp_path: Path) -> Iterator[Destination]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield Destination(str(tmp_path), descriptor, (os.geteuid(), os.getegid()))
    os.close(descriptor)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.db"
    path.write_bytes(bytes(SIZE))
    return path


def test_in_steps(dest: Destination, large: Path, lengths: list[int]) -> None:
    dest.remove(large.name)
    assert lengths == [2 * STEP, STEP, 0]
    assert not large.exists()


def test_in_steps_though_we_have_it_open(dest: Destination, large: Path, lengths: list[int]) -> None:
    with large.open("r+b") as stream:
        dest.remove(large.name, stream.fileno())
        assert lengths == [2 * STEP, STEP, 0]
        assert os.fstat(stream.fileno()).st_blocks == 0


def test_a_small_one_at_once(dest: Destination, large: Path, lengths: list[int]) -> None:
    os.truncate(large, STEP)
    dest.remove(large.name)
    assert not lengths and not large.exists()


def test_whole_for_who_is_reading_it(dest: Destination, large: Path, lengths: list[int]) -> None:
    with large.open("rb") as stream:
        dest.remove(large.name)
        assert not large.exists()
        assert len(stream.read()) == SIZE
    assert not lengths


def test_whole_under_its_other_name(dest: Destination, large: Path, lengths: list[int]) -> None:
    """Copies that share files (``rsync --link-dest``, ``cp -al``) have other names for it."""
    other = large.with_name("other.db")
    os.link(large, other)
    dest.remove(large.name)
    assert other.stat().st_size == SIZE and not lengths


def test_a_link_is_not_followed(dest: Destination, large: Path, lengths: list[int]) -> None:
    link = large.with_name("link")
    link.symlink_to(large)
    dest.remove(link.name)
    assert not link.is_symlink() and large.stat().st_size == SIZE and not lengths
