"""What goes wrong, as problem details (RFC 9457): texts are constant, and nothing is echoed."""

import json
import logging
import traceback
from collections.abc import Iterable
from enum import Enum
from typing import Any

from flask import Response
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from delegation.domain.errors import LockIncomplete, TrailUnreadable, Unavailable
from delegation.domain.ports import LockConflict, UnknownLock
from delegation.web.admin.forms import Strict
from delegation.web.limits import SampledLog, Seconds

CONTENT_TYPE = "application/problem+json"

_TYPES = "/admin/v1/problems/"


class Kind(Enum):
    """Every problem: its name, its status, and what it means."""

    MALFORMED = "malformed-request", 400, "The request is malformed."
    CURSOR = "unknown-cursor", 400, "The cursor is none of ours."
    TWO_METHODS = "invalid-request", 400, "The access token came in a way that it must not."
    NO_TOKEN = "unauthenticated", 401, "An access token is needed."
    INVALID_TOKEN = "invalid-token", 401, "The access token is not acceptable."
    SCOPE = "insufficient-scope", 403, "The access token does not allow this."
    NOTHING = "nothing-here", 404, "There is nothing at this address."
    UNKNOWN_EXCHANGE = "unknown-exchange", 404, "There is no such exchange, or it has expired."
    UNKNOWN_LOCK = "unknown-lock", 404, "There is no such lock, or it is forgotten."
    METHOD = "method-not-allowed", 405, "The method is not allowed."
    LIFTED = "lock-lifted", 409, "This very lock has been lifted: order another one."
    TAKEN = "lock-id-taken", 409, "Another lock has this id: order it with another key."
    TOO_LARGE = "too-large", 413, "The request is too large."
    MEDIA_TYPE = "unsupported-media-type", 415, "The body must be JSON."
    IMPOSSIBLE = "impossible", 422, "What is asked for contradicts itself, or the clock."
    UNASKABLE = "unaskable", 422, "The question names what is not in the registry."
    BUG = "internal-error", 500, "The service has failed."
    INCOMPLETE = (
        "lock-incomplete",
        503,
        "It is not done everywhere yet. The same request again completes it.",
    )
    TRAIL = "audit-trail-unreadable", 503, "The sealed segments cannot be read, or are damaged."
    UNAVAILABLE = "unavailable", 503, "The store does not answer for sure. Try again."

    @property
    def slug(self) -> str:
        """Its name."""
        return str(self.value[0])

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return int(self.value[1])

    @property
    def title(self) -> str:
        """What it means."""
        return str(self.value[2])


class Fault(Strict):
    """What is wrong in one place."""

    where: str = Field(description="The place, as a path of names that the request's schema has.")
    what: str


class Problem(Strict):
    """Problem details (RFC 9457)."""

    type: str = Field(description=f"`{_TYPES}` and the problem's name.")
    title: str
    status: int
    detail: str | None = None
    faults: list[Fault] | None = Field(None, description="Each thing that is wrong.")
    missing: list[int] | None = Field(None, description="The partitions where it is not done.")


class Asked(Exception):
    """A request that is answered by a problem; *headers* go with it."""

    def __init__(self, kind: Kind, *headers: tuple[str, str], **members: Any) -> None:
        super().__init__(kind.slug)
        self.kind = kind
        self.headers = headers
        self.members = members


class Impossible(Asked):
    """What is asked for contradicts itself, or the clock; *detail* says how, and is constant."""

    def __init__(self, detail: str) -> None:
        super().__init__(Kind.IMPOSSIBLE, detail=detail)


class Boundary:
    """Turns every exception into a problem. Nothing that was sent gets into it, or the log."""

    def __init__(self, seconds: Seconds) -> None:
        self._outages = SampledLog(seconds, level=logging.WARNING)
        self._bugs = SampledLog(seconds, level=logging.ERROR)

    def __call__(self, error: Exception) -> Response:
        """The answer to *error*; whatever nobody foresaw is a 500 that says nothing."""
        match error:
            case Asked():
                return answer(error)
            case LockConflict():
                return answer(Asked(_CONFLICTS[error.problem]))
            case UnknownLock():
                return answer(Asked(Kind.UNKNOWN_LOCK))
            case Unavailable():
                self._outages("unavailable", problem=error.problem)
                return answer(_later(error))
            case HTTPException():
                return answer(_http(error))
            case _:
                self._bugs("bug", error=type(error).__qualname__, at=_places(error))
                return answer(Asked(Kind.BUG))


def answer(asked: Asked) -> Response:
    """The problem as it is sent."""
    kind = asked.kind
    problem = Problem(
        type=_TYPES + kind.slug, title=kind.title, status=kind.status, **asked.members
    )
    return respond(
        kind.status, problem.model_dump(exclude_none=True), *asked.headers, type_=CONTENT_TYPE
    )


def respond(
    status: int, body: Any, *headers: tuple[str, str], type_: str = "application/json"
) -> Response:
    """An answer for the one who asked, and for nobody after them."""
    return Response(
        json.dumps(body),
        status,
        [
            ("Content-Type", type_),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        ],
    )


def malformed(invalid: ValidationError, within: str) -> Asked:
    """What is wrong with a request, place by place, in the names of its schema alone."""
    said = dict.fromkeys(
        ("/".join([within, *_place(error)]), _WHAT.get(error["type"], _OTHERWISE))
        for error in invalid.errors(include_url=False, include_input=False, include_context=False)
    )
    faults = [Fault(where=where, what=what) for where, what in said]
    return Asked(Kind.MALFORMED, faults=faults)


_WHAT = {
    "missing": "is missing",
    "extra_forbidden": "has a name in it that is not known here",
    "union_tag_invalid": "has a kind that is not known here",
    "union_tag_not_found": "has no kind",
}

_OTHERWISE = "is not as the schema says"


def _place(error: ErrorDetails) -> Iterable[str]:
    """An unknown name is the sender's own: it is left out; so are the names of our alternatives."""
    place = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return (str(part) for part in place if isinstance(part, int) or part.isidentifier())


_CONFLICTS = {"lock_lifted": Kind.LIFTED, "lock_id_taken": Kind.TAKEN}

_BY_STATUS = {
    404: Kind.NOTHING,
    405: Kind.METHOD,
    413: Kind.TOO_LARGE,
    415: Kind.MEDIA_TYPE,
}


def _later(error: Unavailable) -> Asked:
    retry_after = ("Retry-After", str(error.retry_after))
    if isinstance(error, LockIncomplete):
        return Asked(Kind.INCOMPLETE, retry_after, missing=list(error.missing))
    kind = Kind.TRAIL if isinstance(error, TrailUnreadable) else Kind.UNAVAILABLE
    return Asked(kind, retry_after)


def _http(error: HTTPException) -> Asked:
    headers = []
    if isinstance(error, MethodNotAllowed):
        headers = [("Allow", ", ".join(sorted(error.valid_methods or ())))]
    return Asked(_BY_STATUS.get(error.code or 0, Kind.MALFORMED), *headers)


def _places(error: Exception) -> list[str]:
    """Where it happened, outermost first; without any value, for that might be a token."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
