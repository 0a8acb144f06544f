"""What can be done about a refusal, by what the server says."""

import copy
import pickle

import pytest

from delegation.client.errors import (
    ActorTokenRejected,
    ClientRejected,
    ConfigurationInvalid,
    DelegationError,
    InsufficientScope,
    NoActorToken,
    NoSubjectToken,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
    Unavailable,
    WrongOrigin,
    refused_or_unavailable,
)

REJECTED = {"error": "invalid_request", "reason": "subject_token_rejected"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "invalid_request", "reason": "malformed_request"}, Refused),
        (REJECTED, SubjectTokenRejected),
        ({"error": "invalid_request", "reason": "actor_token_rejected"}, ActorTokenRejected),
        ({"error": "invalid_request", "reason": "not_permitted"}, NotPermitted),
        ({"error": "invalid_target", "reason": "not_permitted"}, NotPermitted),
        ({"error": "invalid_scope", "reason": "not_permitted"}, NotPermitted),
        (
            {"error": "invalid_scope", "reason": "not_permitted", "required_scope": "a:b"},
            InsufficientScope,
        ),
        ({"error": "unauthorized_client", "reason": "not_permitted"}, ClientRejected),
        ({"error": "invalid_client"}, ClientRejected),
        ({"error": "unsupported_grant_type"}, Refused),
        # Other servers say no reason.
        ({"error": "invalid_request"}, Refused),
        ({"error": "invalid_target"}, NotPermitted),
        ({"error": "invalid_scope"}, NotPermitted),
        ({"error": "access_denied"}, NotPermitted),
        ({"error": "invalid_grant", "reason": "a reason of theirs"}, Refused),
        ({"error": ["invalid_target"], "reason": {}}, Refused),
    ],
)
def test_kinds_of_refusals(body: dict[str, object], kind: type[Refused]) -> None:
    """Each says what its reader can do, and exactly that."""
    refused = refused_or_unavailable(400, {}, body)

    assert type(refused) is kind


def test_what_a_refusal_says() -> None:
    """Its codes, the scopes that would do, and where to ask why."""
    body = {
        "error": "invalid_scope",
        "error_description": "...",
        "reason": "not_permitted",
        "required_scope": "calendar:read calendar:write",
    }

    refused = refused_or_unavailable(400, {"Delegation-Decision": "17-abc"}, body)

    assert isinstance(refused, InsufficientScope)
    assert (refused.error, refused.reason) == ("invalid_scope", "not_permitted")
    assert refused.required_scope == ("calendar:read", "calendar:write")
    assert (refused.decision, refused.status, refused.body) == ("17-abc", 400, body)
    assert str(refused) == "invalid_scope: not_permitted (decision 17-abc)"


def test_what_a_rejected_client_is_told() -> None:
    """What its operator can look at; which of it is wrong, the service does not say."""
    refused = refused_or_unavailable(401, {}, {"error": "invalid_client"})

    assert str(refused).startswith("invalid_client; check the client's id, its secret or key")


@pytest.mark.parametrize(
    ("status", "error", "header", "seconds"),
    [
        (503, "temporarily_unavailable", "5", 5),
        (429, "temporarily_unavailable", "60", 60),
        (400, "temporarily_unavailable", "", None),
        (500, "server_error", "", None),
        (502, "invalid_target", "", None),
        (503, "temporarily_unavailable", "99999999", 3600),
        (503, "temporarily_unavailable", "9" * 5000, None),
        (503, "temporarily_unavailable", "-5", None),
        (503, "temporarily_unavailable", "Fri, 31 Dec 1999 23:59:59 GMT", None),
    ],
)
def test_an_outage(status: int, error: str, header: str, seconds: float | None) -> None:
    """No refusal: nothing was decided. It says when to try again, within reason."""
    unavailable = refused_or_unavailable(status, {"Retry-After": header}, {"error": error})

    assert type(unavailable) is Unavailable
    assert unavailable.retry_after == seconds
    assert unavailable.status == status


@pytest.mark.parametrize(
    "said",
    [
        {"error": "the-users-token.is.echoed"},
        {"error": "e" * 41},
        {"error": "invalid_target\x1b[31m"},
        {"error": "invalid_target", "reason": "Because eyJhbGciOi"},
        {"error": "invalid_target", "required_scope": 'a"b\r\n'},
        {"error": "invalid_target", "required_scope": ["a"]},
        {"error": "invalid_target", "error_description": "eyJhbGciOi"},
    ],
)
def test_nothing_is_echoed(said: dict[str, object]) -> None:
    """What is no code is not shown, whatever a server writes."""
    refused = refused_or_unavailable(400, {"Delegation-Decision": "eyJ\r\n"}, said)

    assert str(refused) in {"unknown", "invalid_target"}
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.required_scope, refused.decision) == (None, (), None)


@pytest.mark.parametrize(
    "error",
    [
        Refused("invalid_target", reason="not_permitted", decision="d-1"),
        InsufficientScope("invalid_scope", required_scope=("a",)),
        Unavailable("later", retry_after=5, status=503),
        ConfigurationInvalid("one", "two"),
        NoSubjectToken(),
        NoActorToken(),
        WrongOrigin("elsewhere"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_copies(error: DelegationError) -> None:
    """Each can be copied and sent between processes, with all that it says."""
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301, our own
        assert other is not error
        assert type(other) is type(error)
        assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))
