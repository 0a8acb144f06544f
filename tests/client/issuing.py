"""Servers for whoever exchanges: each token tells for what it was issued, and answers can wait."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any
from urllib.parse import parse_qsl

from tests.client.server import METADATA, TOKEN, Answer, Handler, Server

NO_TLS = SSLContext(PROTOCOL_TLS_CLIENT)
"""Trusts nobody, and is made in no time, unlike one that knows all authorities."""

BARE: dict[str, Any] = {"verify": NO_TLS, "trust_env": False}
"""For clients of this machine alone, whatever proxy its environment names."""

REFUSALS = {
    "not permitted": {"error": "invalid_target", "reason": "not_permitted"},
    "too little scope": {
        "error": "invalid_scope",
        "reason": "not_permitted",
        "required_scope": "calendar:write",
    },
    "rejected": {"error": "invalid_request", "reason": "subject_token_rejected"},
}


def issues_each(server: Server, **members: object) -> None:
    """Every exchange gives another token, with the subject token's name and a number in it."""
    numbers: Counter[str] = Counter()
    lock = threading.Lock()

    def answer(handler: Handler) -> None:
        subject = dict(parse_qsl(handler.asked.content))["subject_token"]
        with lock:
            numbers[subject] += 1
            token = f"for-{subject.removesuffix('-token')}-{numbers[subject]}"
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 300, **members}
        handler.reply(json.dumps(body).encode())

    server.answers[TOKEN] = answer


def refuses(server: Server, **body: object) -> None:
    """Every exchange is refused, each with another decision."""
    decisions = count(1)
    server.answers[TOKEN] = lambda handler: handler.reply(
        json.dumps(body).encode(), 400, Delegation_Decision=f"d-{next(decisions)}"
    )


def is_down(server: Server, **headers: str) -> None:
    """Nothing can be exchanged at the moment."""
    body = b'{"error": "temporarily_unavailable"}'
    server.says(TOKEN, body, 503, **headers)


def exchanges(server: Server) -> int:
    """How often it was asked for a token."""
    return [asked.path for asked in server.asked].count(TOKEN)


def lookups(server: Server) -> int:
    """How often its metadata was asked for."""
    return [asked.path for asked in server.asked].count(METADATA)


class Gate:
    """Holds back every answer to one path, until it is opened."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, handler: Handler) -> None:
        """Wait, then answer."""
        self.reached.set()
        assert self._opened.wait(20)
        self._answer(handler)

    def open(self) -> None:
        """Let all through."""
        self._opened.set()


@contextmanager
def held(server: Server, path: str = TOKEN) -> Iterator[Gate]:
    """No answer to *path* comes in this block before the gate is opened; after it, all do."""
    gate = Gate(server.answers[path])
    server.answers[path] = gate
    try:
        yield gate
    finally:
        gate.open()
