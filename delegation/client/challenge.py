"""What a failed exchange is in HTTP: the answer that tells an MCP client what would help."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from delegation.client.discovery import well_known
from delegation.client.errors import (
    DelegationError,
    InsufficientScope,
    NoSubjectToken,
    NotPermitted,
    SubjectTokenRejected,
    Unavailable,
)

RETRY_AFTER = 5
"""Seconds to wait where the service does not say how many."""

_QUOTABLE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)
"""What can stand between quotes as it is (RFC 6750 §3): it ends neither them nor the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """An answer that is not the tool's. *text* says it to people and models.

    Nothing in it comes from the token or from the request, but for scopes by their names.
    """

    status: int
    text: str
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def metadata_url(resource: str) -> str:
    """Where the metadata of the protected *resource* is (RFC 9728 §3.1).

    Raises `ValueError` where it is no URL that can stand in a challenge.
    """
    url = well_known(resource, "oauth-protected-resource")
    if not url.startswith(("https://", "http://")) or _QUOTABLE.fullmatch(url) is None:
        raise ValueError(f"{resource!r} is no resource identifier that a challenge can name")
    return url


def challenge(
    errors: Sequence[DelegationError], *, held: Iterable[str] = (), metadata: str | None = None
) -> Challenge | None:
    """The answer to a request that failed after these *errors*, the last of which ended it.

    `None` where nobody but this server's operator can help: then the tool's own error stands.
    *held* are the scopes of the token that was presented, *metadata* the URL that `metadata_url`
    gave. All scopes that were missing are named at once, with those that are held: a client that
    asks for what a challenge names must not lose what it had (MCP, *Step-up authorization*).
    """
    match errors[-1]:
        case InsufficientScope():
            needed = [scope for each in errors for scope in _required(each)]
            return _insufficient_scope(needed, held=held, metadata=metadata)
        case SubjectTokenRejected():
            return _challenged(401, _REJECTED, {"error": "invalid_token"}, metadata)
        case NoSubjectToken():
            # RFC 6750 §3.1: who brought no token is told of no error.
            return _challenged(401, _MISSING, {}, metadata)
        case Unavailable(retry_after=seconds):
            wait = RETRY_AFTER if seconds is None else math.ceil(seconds)
            return Challenge(status=503, text=_LATER, headers={"Retry-After": str(wait)})
        case NotPermitted():
            # No challenge: there is no token to ask for, and a client would ask in circles.
            return Challenge(status=403, text=_FORBIDDEN)
    return None


def explanation(error: DelegationError) -> str:
    """What *error* says to a model, or to whoever else reads a tool's result. Safe to show."""
    answer = challenge([error])
    return _MISCONFIGURED if answer is None else answer.text


_REJECTED = "The access token is not accepted any more: get a new one."
_MISSING = "This needs an access token."
_LATER = "The service that allows this cannot be asked now: try again later."
_FORBIDDEN = "This is not permitted, and another access token would not change that."
_MISCONFIGURED = "This server may not do that for anybody: its operator must look at its log."


def _required(error: DelegationError) -> tuple[str, ...]:
    return error.required_scope if isinstance(error, InsufficientScope) else ()


def _insufficient_scope(
    needed: Sequence[str], *, held: Iterable[str], metadata: str | None
) -> Challenge:
    missing = list(dict.fromkeys(needed))
    # A scope that cannot be quoted cannot be asked for either.
    asked = [scope for scope in dict.fromkeys([*held, *missing]) if _QUOTABLE.fullmatch(scope)]
    return _challenged(
        403,
        f"This needs an access token with more scope: {' '.join(missing)}",
        {"error": "insufficient_scope", "scope": " ".join(asked)},
        metadata,
    )


def _challenged(
    status: int, text: str, parameters: Mapping[str, str], metadata: str | None
) -> Challenge:
    """With a challenge (RFC 6750 §3), which says where to ask (RFC 9728 §5.1)."""
    more = {"resource_metadata": metadata} if metadata else {}
    said = ", ".join(f'{name}="{value}"' for name, value in {**parameters, **more}.items())
    return Challenge(
        status=status,
        text=text,
        error=parameters.get("error"),
        headers={"WWW-Authenticate": f"Bearer {said}".rstrip()},
    )
