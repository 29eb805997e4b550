# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the witnesses for the epoch: all at once, over plain HTTP, with one time limit for all of them.

No thread, no resolver and no library that retries: a witness that drips its answer costs no more than one that is dead.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Witness
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.epoch import Record, parse

PATH = "/epoch.json"
# A record is some 150 bytes, and the head of an answer not much more.
ANSWER_BYTES = 16384


@dataclass(frozen=True)
class Answer:
    """What one witness said: its record, or why there is none."""

    witness: str
    record: Record | None = None
    error: str = ""


class _Call:
    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.seen = b""
        family = socket.AF_INET6 if ":" in witness.address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        host = f"[{witness.address}]" if ":" in witness.address else witness.address
        self.request = f"GET {PATH} HTTP/1.0\r\nHost: {host}:{witness.port}\r\nConnection: close\r\n\r\n".encode()

    def connect(self) -> None:
        code = self.socket.connect_ex((self.witness.address, self.witness.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def go_on(self) -> bool:
        """Send or receive what can be now; return whether everything is here."""
        if self.request:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            self.request = self.request[self.socket.send(self.request) :]
            return False
        chunk = self.socket.recv(ANSWER_BYTES)
        self.seen += chunk
        if len(self.seen) > ANSWER_BYTES:
            raise OSError(errno.EMSGSIZE, "the answer is too long")
        return not chunk

    def answer(self) -> Answer:
        """Judge a whole answer."""
        head, _empty, body = self.seen.partition(b"\r\n\r\n")
        words = head.split(None, 2)
        if len(words) < 2 or words[1] != b"200":
            return Answer(
                self.witness.name, error=f"status {words[1].decode(errors='replace') if words[1:] else 'none'}"
            )
        try:
            return Answer(self.witness.name, parse(body.decode(), f"the record of {self.witness.name}"))
        except (OpsError, UnicodeDecodeError) as exc:
            return Answer(self.witness.name, error=str(exc))


def ask(witnesses: Iterable[Witness], seconds: float) -> list[Answer]:
    """Return what each witness said within that time, in their order. Never raises for what a witness does."""
    end = time.monotonic() + seconds
    calls = [_Call(witness) for witness in witnesses]
    answers: dict[_Call, Answer] = {}
    try:
        with selectors.DefaultSelector() as selector:
            for call in calls:
                try:
                    call.connect()
                    selector.register(call.socket, selectors.EVENT_WRITE, call)
                except OSError as exc:
                    answers[call] = Answer(call.witness.name, error=str(exc.strerror or exc))
            while selector.get_map():
                left = end - time.monotonic()
                events = selector.select(left) if left > 0 else []
                if not events:
                    break
                for key, _mask in events:
                    call = key.data
                    try:
                        whole = call.go_on()
                    except OSError as exc:
                        selector.unregister(call.socket)
                        answers[call] = Answer(call.witness.name, error=str(exc.strerror or exc))
                        continue
                    if whole:
                        selector.unregister(call.socket)
                        answers[call] = call.answer()
                    elif not call.request:
                        selector.modify(call.socket, selectors.EVENT_READ, call)
    finally:
        for call in calls:
            call.socket.close()
    silent = f"no answer within {seconds:g} s"
    return [answers.get(call) or Answer(call.witness.name, error=silent) for call in calls]
