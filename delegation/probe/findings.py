"""What a probe finds: that all is as it should be, or in which way it is not."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Verdict(StrEnum):
    """How a probe ended. Only the first and the last are as they should be."""

    OK = "ok"
    CRITICAL = "critical"
    """Something works that must never work."""
    WRONG = "wrong"
    """It is not as it should be, and nothing came of it."""
    UNAVAILABLE = "unavailable"
    """There was no answer, so nobody can tell."""
    SKIPPED = "skipped"
    """It was not tried: what it takes is not there."""


class NotOk(Exception):
    """A probe does not end well. The message holds nothing that was sent, and no token."""

    verdict: ClassVar[Verdict]


class Forbidden(NotOk):
    """Something was allowed that must be refused, or given that must not be."""

    verdict = Verdict.CRITICAL


class Wrong(NotOk):
    """It is answered, and not as it should be."""

    verdict = Verdict.WRONG


class NoAnswer(NotOk):
    """Nobody can tell: the service gives no answer, or asks for patience."""

    verdict = Verdict.UNAVAILABLE


class NotTried(NotOk):
    """It cannot be tried here, or shall not be."""

    verdict = Verdict.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How *probe* ended, after how many *seconds*. *promise* is what it holds the service to."""

    probe: str
    promise: str
    verdict: Verdict
    detail: str = ""
    seconds: float = 0.0
