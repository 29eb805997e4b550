# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/probes.md, the reference of probes and checks, from the probes themselves.

tools/probe_docs.py            print it
tools/probe_docs.py --write    write docs/probes.md; a test fails while the committed file is another one
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "probes.md"
sys.path.insert(0, str(ROOT / ".tree"))

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry  # noqa: E402

HEAD = """\
# Probes and checks

Written by `make docs` from the probes themselves; do not edit.

A probe is one entry of `probes` of the module `bilingual_tutor.ops.service_health`: its `kind` and that kind's options.
Thresholds are Nagios ranges: `80` alerts above 80, `80:` below 80, `10:20` outside, `@10:20` inside. Another threshold
for one probe: `thresholds: {CHECK: {warn: "…", crit: "…"}}`; an empty text switches a level off.

A finding that is known and accepted: `waivers: [{check: sshd.*, item: "*", until: 2026-12-31, reason: "…"}]`. `check` and
`item` are shell patterns, `until` is the last day (UTC) and must be there. The check is SKIPPED then and still tells what
was found; after that day it is a finding again and names the waiver. UNKNOWN cannot be waived.

探针与检查项参考，由 `make docs` 从探针代码生成，请勿手工修改。阈值采用 Nagios 区间写法：`80` 表示高于 80 告警，`80:` 表示低于 80 告警，
`10:20` 表示超出区间告警，`@10:20` 表示落入区间告警。已知并接受的告警用 `waivers` 登记：`check` 和 `item` 为通配模式，`until` 为最后有效日（UTC），
必填。有效期内该检查记为跳过但仍显示原结果，过期后恢复告警并注明过期的豁免；「未知」不可豁免。
"""


def cell(value: Any) -> str:
    """Return text that may stand in a table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def code(value: Any) -> str:
    """Return a value as code, nothing for nothing."""
    return f"`{cell(value)}`" if value not in ("", None) else ""


def row(cells: Iterable[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cells) + " |"


def table(head: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a table and the empty line after it."""
    yield row(head)
    yield row("---" for _turn in head)
    yield from map(row, rows)
    yield ""


def default_of(option: Mapping[str, Any]) -> str:
    """Return what an option is when it is not given."""
    if option.get("required"):
        return "required"
    default = option.get("default")
    return "" if default is None else code(json.dumps(default, ensure_ascii=False))


def options(spec: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Iterator[list[str]]:
    """Yield a row for each option, those of nested ones below it."""
    for name, option in spec.items():
        kind = str(option.get("type", "str"))
        if "elements" in option:
            kind += f" of {option['elements']}"
        choices = ", ".join(code(choice) for choice in option.get("choices", ()))
        yield [code(prefix + name), kind, default_of(option), choices]
        yield from options(option.get("options", {}), f"{prefix}{name}.")


def checks(area: Area) -> Iterator[str]:
    """Yield the checks of an area: a table of their levels, then what each advises."""
    rules = sorted(area.rules.items())
    yield from table(
        ["check", "title", "名称", "warn", "crit", "unit", "source"],
        (
            [code(name), cell(r.title.en), cell(r.title.zh), code(r.warn), code(r.crit), cell(r.uom), cell(r.source)]
            for name, r in rules
        ),
    )
    yield from table(
        ["check", "what to do", "处理办法"],
        ([code(name), cell(r.fix.en), cell(r.fix.zh)] for name, r in rules if r.fix.en),
    )


def document() -> str:
    """Return the whole file."""
    lines = [HEAD, "## Options of every probe", ""]
    lines += table(["option", "type", "default", "choices"], options(registry.COMMON_OPTIONS))
    seen = set()
    for kind, module in sorted(registry.KINDS.items()):
        told = inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0]
        lines += [f"## {kind}", "", " ".join(told.split()), "", f"Deadline: {module.TIMEOUT:g} s.", ""]
        if module.OPTIONS:
            lines += table(["option", "type", "default", "choices"], options(module.OPTIONS))
        lines += checks(module.AREA)
        seen.add(id(module.AREA))
    for area in catalogue.areas():
        if area.rules and id(area) not in seen:
            lines += [f"## Checks of no probe: {area.group}", "", *checks(area)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Print or write it."""
    if sys.argv[1:] == ["--write"]:
        TARGET.write_text(document(), encoding="utf-8")
    else:
        sys.stdout.write(document())


if __name__ == "__main__":
    main()
