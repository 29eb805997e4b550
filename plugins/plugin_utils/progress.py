# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show on the operator's terminal how far a long module has come.

The module writes into a file that is made for it on the host; a thread reads it over the same connection's settings and
prints a line now and then. Whatever goes wrong with that is no reason not to run the module.
"""

from __future__ import annotations

import copy
import json
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

# Most runs are over by then, and cost nothing but the file.
FIRST = 3.0
# A line is a message to a person, and one short command on the host.
EVERY = 5.0
# How long the end of the task may wait for the removal of the file.
REMOVAL = 10.0

NAME = "bilingual-tutor-ops-progress.XXXXXXXXXX"

# What the stages that modules tell of are called in Chinese; in English they are called by their keys.
STAGES = {
    "analyze": "更新统计信息",
    "apply": "试应用导出",
    "check": "检查副本",
    "compare": "比对数据库",
    "compress": "压缩",
    "copy": "复制",
    "digest": "计算内容摘要",
    "fence": "停止并隔离",
    "fetch": "取回副本",
    "files": "打包文件",
    "foreign_key_check": "外键检查",
    "forget": "清理旧副本",
    "incremental_vacuum": "增量整理",
    "integrity_check": "完整性检查",
    "optimize": "优化",
    "prove": "校验写入结果",
    "prove_free": "确认无进程占用",
    "queries": "业务查询",
    "quick_check": "快速检查",
    "read": "读取快照",
    "recover": "收尾中断的运行",
    "reindex": "重建索引",
    "replace": "替换数据库",
    "restore": "恢复副本",
    "rows": "统计行数",
    "schema": "核对表结构",
    "serve": "启动服务",
    "sha256": "计算 SHA-256",
    "stage": "写入数据库所在目录",
    "stop": "停止服务",
    "sync": "发送最后的更改",
    "undo": "撤销",
    "unpack": "解压",
    "vacuum": "整理空间",
    "verify": "校验",
    "wal_checkpoint": "WAL 检查点",
}


def line(host: str, told: dict[str, Any], locale: str) -> str:
    """Return what to print of a line of progress (``stage``, ``done`` from 0 to 1 or null, ``seconds``)."""
    stage, seconds = str(told["stage"]), f"{float(told['seconds']):.0f}"
    done = "" if told.get("done") is None else f" {100 * min(1.0, max(0.0, float(told['done']))):.0f} %"
    if locale == "zh":
        return f"{host}：{STAGES.get(stage, stage)}{done}（{seconds} 秒）"
    return f"{host}: {stage}{done} ({seconds} s)"


class ActionModule(NormalAction):
    """The module of the same name, with its progress shown while it runs."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and return its result."""
        # Nobody watches a task in the background, and a caller who brings a file of his own reads it himself.
        if self._task.async_val or self._task.args.get("progress"):
            return super().run(tmp, task_vars)
        with self._watched(task_vars or {}) as path:
            if path:
                self._task.args = {**self._task.args, "progress": path}
            return super().run(tmp, task_vars)

    @contextmanager
    def _watched(self, task_vars: dict[str, Any]) -> Iterator[str]:
        """Make the file and read it until the end; yields its path, or nothing when there can be none."""
        # As the user who runs the module, and in the common place: Ansible's own directory on the host belongs to
        # the user who connects, and no other may write there.
        made = self._low_level_execute_command(f"mktemp -t {NAME}")
        path = made["stdout"].strip().splitlines()[-1] if made["rc"] == 0 and made["stdout"].strip() else ""
        if not path.startswith("/"):
            yield ""
            return
        end = threading.Event()
        reader = threading.Thread(target=self._aside()._read, args=(path, task_vars, end), daemon=True)
        reader.start()
        try:
            yield path
        finally:
            end.set()
            reader.join(REMOVAL)

    def _aside(self) -> ActionModule:
        """Return an action that can run commands while this one waits for its module.

        Connection and become plugins keep what they wait for on themselves; the process of each command is its own.
        """
        other = copy.copy(self)
        other._connection = copy.copy(self._connection)
        if self._connection.become:
            other._connection.become = copy.copy(self._connection.become)
        return other

    def _read(self, path: str, task_vars: dict[str, Any], end: threading.Event) -> None:
        """Print what the file says until the module has ended, then remove it."""
        host, locale = str(task_vars.get("inventory_hostname", "")), self._locale(task_vars)
        wait, begun, last = FIRST, time.monotonic(), ""
        while not end.wait(wait):
            wait = EVERY
            found = self._quietly(f"cat {shlex.quote(path)}")
            if found != last:
                last = found
                self._show(host, found, locale, time.monotonic() - begun)
        self._quietly(f"rm -f {shlex.quote(path)}")

    def _quietly(self, command: str) -> str:
        try:
            return str(self._low_level_execute_command(command)["stdout"])
        except Exception as exc:  # noqa: BLE001 - a connection that breaks is told by the module's own task
            Display().vvv(f"progress: {command}: {exc}")
            return ""

    def _show(self, host: str, found: str, locale: str, seconds: float) -> None:
        try:
            told = json.loads(found.strip().splitlines()[-1])
            Display().display(line(host, told, locale))
        except (IndexError, KeyError, TypeError, ValueError) as exc:
            Display().vvv(f"progress after {seconds:.0f} s: {found!r}: {exc}")

    def _locale(self, task_vars: dict[str, Any]) -> str:
        try:
            return str(self._templar.template(task_vars.get("ops_locale", "en")))
        except Exception as exc:  # noqa: BLE001 - a variable that nobody needs here
            Display().vvv(f"progress: ops_locale: {exc}")
            return "en"
