# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging as the real application does it, with its two peculiarities, since checks must cope with both.

The application's logger has a handler of its own *and* propagates to the root logger's, and gunicorn captures stderr:
every application line stands twice in ``gunicorn_error.log``. What is logged through the root logger, which database
errors are, never reaches ``bilingual_tutor.log``.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

LINE = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
DATE = "%Y-%m-%d %H:%M:%S"

logger = logging.getLogger("bilingual_tutor")


def set_up(path: Path) -> None:
    """Send application lines to a file and, twice, to stderr; without the file's directory to stderr alone."""
    logging.basicConfig(level=logging.INFO, format=LINE, datefmt=DATE, stream=sys.stderr)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    try:
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    except OSError as exc:
        logging.error("日志文件无法打开: %s", exc)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(LINE, DATE))
        logger.addHandler(handler)
