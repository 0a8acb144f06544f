"""The one boundary between what goes wrong and what a client is told: JSON, constant, no echo."""

import logging
import traceback

from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Error, UnsupportedGrantTypeError
from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from delegation.domain.errors import (
    Cause,
    InvalidRequest,
    InvalidScope,
    Reason,
    Refused,
    TooManyExchanges,
    Unavailable,
)
from delegation.domain.tokens import format_scope
from delegation.web import answers
from delegation.web.limits import SampledLog, Seconds
from delegation.web.service import Meter

_CHALLENGE = ("WWW-Authenticate", 'Basic realm="delegation"')
_FIRST_SERVER_ERROR = 500


class AuthenticationFailed(InvalidClientError):
    """The client is not known, not who it claims to be, or claims nothing: one answer for all.

    *claimed* is the client id that was named, for the brake and the log; *cause* and *detail* are
    those of an assertion, for the log alone.
    """

    def __init__(
        self, claimed: str | None = None, cause: Cause | None = None, **detail: object
    ) -> None:
        super().__init__(status_code=401)
        self.claimed = claimed
        self.cause = cause
        self.detail = detail


class TooManyFailures(OAuth2Error):
    """Too many failed authentications; *retry_after* is in seconds."""

    error = "temporarily_unavailable"

    def __init__(self, retry_after: int) -> None:
        super().__init__(status_code=429)
        self.retry_after = retry_after


class Boundary:
    """Turns every exception into an answer. Nothing that was sent gets into it, or the log."""

    def __init__(self, seconds: Seconds, meter: Meter | None = None) -> None:
        self._meter = meter
        suppressed = None if meter is None else meter.line_suppressed
        self._malformed = SampledLog(seconds, level=logging.WARNING, suppressed=suppressed)
        self._outages = SampledLog(seconds, level=logging.WARNING, suppressed=suppressed)
        self._bugs = SampledLog(seconds, level=logging.ERROR, suppressed=suppressed)

    def __call__(self, error: Exception) -> Response:  # noqa: PLR0911, it is a table
        """The answer to *error*; whatever nobody foresaw is a 500 that says nothing."""
        match error:
            case Refused():
                if error.decision is None:
                    # No event says so: nobody was known yet, or nothing was to be decided.
                    self._malformed("request_refused", cause=error.cause.value)
                    if self._meter is not None:
                        self._meter.malformed(error.cause.value)
                return _refusal(error)
            case Unavailable():
                self._outages("unavailable", problem=error.problem)
                return _later(503, error.retry_after)
            case TooManyFailures():
                return _later(429, error.retry_after)
            case InvalidClientError():
                # 401 always, and so a challenge always (RFC 6749 §5.2).
                return _plain(401, "invalid_client", "client authentication failed", _CHALLENGE)
            case UnsupportedGrantTypeError():
                return _plain(400, "unsupported_grant_type", "the grant type is not supported")
            case HTTPException(code=int(status)) if status < _FIRST_SERVER_ERROR:
                return _http(status, error)
            case _:
                self._bugs("bug", error=type(error).__qualname__, at=_places(error))
                return _plain(500, "server_error", "the service has failed")


def _refusal(refused: Refused) -> Response:
    body = {
        "error": refused.error,
        "error_description": refused.description,
        "reason": refused.reason,
    }
    if isinstance(refused, InvalidScope) and refused.required:
        body["required_scope"] = format_scope(refused.required)
    headers = [] if refused.decision is None else [("Delegation-Decision", refused.decision)]
    if isinstance(refused, TooManyExchanges):
        headers.append(("Retry-After", str(refused.retry_after)))
        return answers.private(429, body, headers)
    return answers.private(400, body, headers)


def _later(status: int, seconds: int) -> Response:
    retry_after = ("Retry-After", str(seconds))
    return _plain(status, "temporarily_unavailable", "try again later", retry_after)


def _http(status: int, error: HTTPException) -> Response:
    if isinstance(error, NotFound):
        return _plain(status, "not_found", "there is nothing at this address")
    headers = []
    if isinstance(error, MethodNotAllowed):
        headers = [("Allow", ", ".join(sorted(error.valid_methods or ())))]
    body = {
        "error": InvalidRequest.error,
        "error_description": _HTTP.get(status, InvalidRequest.description),
        "reason": Reason.MALFORMED_REQUEST,
    }
    return answers.private(status, body, headers)


_HTTP = {405: "the method is not allowed", 413: "the request is too large"}


def _plain(status: int, error: str, description: str, *headers: tuple[str, str]) -> Response:
    return answers.private(status, {"error": error, "error_description": description}, headers)


def _places(error: Exception) -> list[str]:
    """Where it happened, outermost first; without any value, for that might be a token."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
