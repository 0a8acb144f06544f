"""Why there is no token: everything that can go wrong here, by what can be done about it."""

import re
from collections.abc import Mapping
from typing import Any

_CODE = re.compile(r"[a-z_]{1,40}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", re.ASCII)
"""One scope (RFC 6749 §3.3)."""
_NOBODY = (
    "there is no user: the current request has no token, and no `acting_for` says whose to use"
)
_LONGEST_WAIT = 3600


class DelegationError(Exception):
    """There is no token, and nothing was sent to the API. Every error of this package is one.

    No message holds a token, a secret or anything else that came from the other side but its codes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Can be copied: callers that share an exchange each get an error of their own."""
        return _remade, (type(self), self.args, self.__dict__)


class ConfigurationInvalid(DelegationError):
    """The settings cannot be used. *problems* are all that is wrong, one line each."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class NoSubjectToken(DelegationError):
    """Nobody is there to act for: the current request brought no token, or there is no request."""

    def __init__(self, message: str = _NOBODY) -> None:
        super().__init__(message)


class NoActorToken(DelegationError):
    """There is no actor token where one is to be shown: without it, somebody else would act."""

    def __init__(self, message: str = "there is no actor token to show") -> None:
        super().__init__(message)


class WrongOrigin(DelegationError):
    """The request would go to where this token may not, and was not sent."""


class Unavailable(DelegationError):
    """The service cannot be asked, or gives no answer to work with: try again, later.

    *retry_after* are the seconds that it asks to wait, if it says so. *status* and *body* are the
    answer that came, if one did.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self.retry_after = retry_after
        self.status = status
        self.body = body
        super().__init__(message)


class Refused(DelegationError):
    """The service said no. Its subclasses say what can be done; this one itself: mend the request.

    *error* is the OAuth error code, *reason* what our service says besides (`malformed_request`,
    `subject_token_rejected`, `actor_token_rejected`, `not_permitted`; `None` from others).
    *required_scope* are the scopes that the subject token would have needed, if that would help.
    *decision* names the decision in the service's audit trail: `delegation explain` tells why.
    *body* is all that the server said: show it to operators only.
    """

    _advice = ""

    def __init__(
        self,
        error: str,
        *,
        reason: str | None = None,
        required_scope: tuple[str, ...] = (),
        decision: str | None = None,
        status: int = 400,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self.error = error
        self.reason = reason
        self.required_scope = required_scope
        self.decision = decision
        self.status = status
        self.body = body or {}
        said = ": ".join([error, reason] if reason else [error])
        found = f" (decision {decision})" if decision else ""
        super().__init__(f"{said}{found}{self._advice}")


class SubjectTokenRejected(Refused):
    """The user's token is not acceptable (any more): get a new one. Answer 401 to the agent."""


class ActorTokenRejected(Refused):
    """The actor token is not acceptable (any more): a new one is needed."""


class NotPermitted(Refused):
    """No grant allows this, or something stands against it: no token will help, a grant might."""


class InsufficientScope(NotPermitted):
    """The user's token has too little scope: one with `required_scope` would do. Answer 403 with
    a challenge that names it.
    """


class ClientRejected(Refused):
    """We are unknown, not let in, or may not exchange: check id, credential and registry entry."""

    _advice = "; check the client's id, its secret or key, and its entry in the registry"


def refused_or_unavailable(
    status: int, headers: Mapping[str, str], body: Mapping[str, Any]
) -> Refused | Unavailable:
    """What an error response means (RFC 6749 §5.2, RFC 8693 §2.2.2)."""
    error = _code(body.get("error")) or "unknown"
    if status >= 500 or status == 429 or error in _LATER:  # noqa: PLR2004, HTTP's
        return Unavailable(
            f"the service answered {status}: {error}",
            retry_after=_seconds(headers.get("Retry-After", "")),
            status=status,
            body=body,
        )
    reason = _code(body.get("reason"))
    required_scope = _scopes(body.get("required_scope"))
    return _kind(error, reason, required_scope)(
        error,
        reason=reason,
        required_scope=required_scope,
        decision=decision_of(headers),
        status=status,
        body=body,
    )


def decision_of(headers: Mapping[str, str]) -> str | None:
    """The id of the decision behind an answer, where the server is one of ours."""
    decision = headers.get("Delegation-Decision", "")
    return decision if _ID.fullmatch(decision) else None


_LATER = frozenset({"temporarily_unavailable", "server_error"})
_OF_THE_CLIENT = frozenset({"invalid_client", "unauthorized_client"})
_OF_THE_TARGET = frozenset({"invalid_target", "invalid_scope", "access_denied"})

_BY_REASON: Mapping[str | None, type[Refused]] = {
    "subject_token_rejected": SubjectTokenRejected,
    "actor_token_rejected": ActorTokenRejected,
    "not_permitted": NotPermitted,
}


def _kind(error: str, reason: str | None, required_scope: tuple[str, ...]) -> type[Refused]:
    if error in _OF_THE_CLIENT:
        return ClientRejected
    if error == "invalid_scope" and required_scope:
        return InsufficientScope
    if error in _OF_THE_TARGET:
        return NotPermitted
    return _BY_REASON.get(reason, Refused)


def _code(value: object) -> str | None:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def _scopes(value: object) -> tuple[str, ...]:
    words = value.split(" ") if isinstance(value, str) else []
    return tuple(words) if all(map(_SCOPE.fullmatch, words)) else ()


def _seconds(text: str) -> float | None:
    """As seconds only: a date would need the other side's clock."""
    found = re.fullmatch(r"[0-9]{1,9}", text, re.ASCII)
    return None if found is None else float(min(int(found[0]), _LONGEST_WAIT))


def _remade(
    kind: type[DelegationError], args: tuple[Any, ...], attributes: Mapping[str, Any]
) -> DelegationError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error
