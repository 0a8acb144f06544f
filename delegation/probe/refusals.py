"""What must be refused: a request that works, but for one thing, each with its exact error."""

from collections.abc import Callable
from dataclasses import replace
from secrets import token_urlsafe

import httpx2

from delegation.client.credentials import Proof, Secret
from delegation.client.rfc8693 import GRANT_TYPE
from delegation.client.wire import Answer, read_object
from delegation.probe.findings import Forbidden, NoAnswer, NotTried, Wrong
from delegation.probe.forging import altered, unsigned
from delegation.probe.round import Attempt, Probe, Round, must_not_be_kept, said_in
from delegation.probe.target import NoToken

UNKNOWN_RESOURCE = "https://delegation-probe.invalid/unknown"
UNKNOWN_SCOPE = "delegation-probe:unknown"

_REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"


def _without_authentication(round_: Round) -> Attempt:
    return replace(round_.sound(), proof=Proof())


def _with_a_wrong_secret(round_: Round) -> Attempt:
    wrong = Secret(f"dlg_{token_urlsafe(32)}")  # of the form that a right one has
    return replace(round_.sound(), proof=wrong.prove(round_.target.service.client_id))


def _for_an_unknown_resource(round_: Round) -> Attempt:
    return round_.sound().but(resource=UNKNOWN_RESOURCE)


def _for_a_forbidden_resource(round_: Round) -> Attempt:
    forbidden = round_.target.forbidden_resource
    if forbidden is None:
        raise NotTried("it takes an API that is not granted: --forbidden-resource")
    # Without a scope, which would be refused by itself.
    return round_.attempt(round_.target.service, round_.the_subject_token(), forbidden, scope="")


def _with_an_unknown_scope(round_: Round) -> Attempt:
    return round_.sound().but(scope=f"{round_.target.scope} {UNKNOWN_SCOPE}")


def _with_a_forbidden_scope(round_: Round) -> Attempt:
    forbidden = round_.target.forbidden_scope
    if forbidden is None:
        raise NotTried("it takes a scope that is not granted: --forbidden-scope")
    return round_.sound().but(scope=f"{round_.target.scope} {forbidden}")


def _with_an_altered_token(round_: Round) -> Attempt:
    return round_.sound().but(subject_token=altered(round_.the_subject_token()))


def _with_an_unsigned_token(round_: Round) -> Attempt:
    return round_.sound().but(subject_token=unsigned(round_.the_subject_token()))


def _with_an_expired_token(round_: Round) -> Attempt:
    source = round_.target.expired_token
    if source is None:
        raise NotTried("it takes a token that has expired: --expired-token-file")
    try:
        return round_.sound().but(subject_token=source())
    except NoToken as error:
        raise NoAnswer(f"there is no expired token: {error}") from error


def _with_a_refresh_token(round_: Round) -> Attempt:
    return round_.sound().but(subject_token_type=_REFRESH_TOKEN)


def _for_the_client_itself(round_: Round) -> Attempt:
    return round_.sound().but(grant_type="client_credentials")


def _with_a_repeated_parameter(round_: Round) -> Attempt:
    sound = round_.sound()
    return replace(sound, form=(*sound.form, ("grant_type", GRANT_TYPE)))


def _with_a_query(round_: Round) -> Attempt:
    # Nothing that is secret: it may end up in a log.
    return replace(round_.sound(), query="?grant_type=none")


def _as_text(round_: Round) -> Attempt:
    return replace(round_.sound(), content_type="text/plain")


def _by_get(round_: Round) -> Attempt:
    return replace(round_.sound(), method="GET")


def _by_another_client(round_: Round) -> Attempt:
    return replace(round_.sound(), by=round_.the_other())


def _of_what_was_issued(round_: Round) -> Attempt:
    return round_.sound().but(subject_token=round_.the_issued().value)


def _refused(
    name: str,
    promise: str,
    attempt: Callable[[Round], Attempt],
    *,
    status: int = 400,
    error: str = "invalid_request",
    alarming: bool = False,
) -> Probe:
    """A probe that *attempt* is refused with *error*."""

    def tried(round_: Round) -> None:
        sent = attempt(round_)
        must_refuse(round_.trade(sent), sent, status=status, error=error)

    return Probe(name, promise, tried, alarming)


def must_refuse(answer: Answer, sent: Attempt, *, status: int, error: str) -> None:
    """Raise a `NotOk` unless *answer* is that refusal, is kept by nobody, and repeats nothing."""
    body = answer.body or {}
    if httpx2.codes.is_success(answer.status) or "access_token" in body:
        raise Forbidden(f"it was answered {said_in(answer)}")
    if (answer.status, body.get("error")) != (status, error):
        raise Wrong(f"it was answered {said_in(answer)}, and not {status} {error}")
    must_not_be_kept(answer)
    wanted = {401: "WWW-Authenticate", 405: "Allow"}.get(status)
    if wanted is not None and wanted not in answer.headers:
        raise Wrong(f"the answer lacks {wanted}")
    said = str(body.get("error_description", ""))
    if any(value and value in said for _, value in sent.form):
        raise Wrong("the answer repeats what was sent")


def _in_clear(round_: Round) -> None:
    """Nothing that is secret is sent: whether it is answered at all is the question."""
    endpoint = httpx2.URL(round_.endpoint("token_endpoint"))
    if endpoint.scheme != "https":
        raise NotTried("the service is on this machine, without https")
    url = endpoint.copy_with(scheme="http", port=None)
    try:
        answer = round_.http.post(url, data={"grant_type": GRANT_TYPE}, follow_redirects=False)
    except httpx2.HTTPError:
        return  # nobody listens there
    if answer.is_success or "error" in (read_object(answer.content) or {}):
        raise Forbidden(f"the token endpoint answers {answer.status_code} over plain http")


REFUSED = (
    _refused(
        "no_authentication",
        "who does not authenticate is refused",
        _without_authentication,
        status=401,
        error="invalid_client",
    ),
    _refused(
        "wrong_secret",
        "a wrong secret is refused",
        _with_a_wrong_secret,
        status=401,
        error="invalid_client",
    ),
    _refused(
        "unknown_resource",
        "an API that nobody knows is refused",
        _for_an_unknown_resource,
        error="invalid_target",
    ),
    _refused(
        "forbidden_resource",
        "an API that is not granted is refused",
        _for_a_forbidden_resource,
        error="invalid_target",
    ),
    _refused(
        "unknown_scope",
        "a scope that nobody knows is refused",
        _with_an_unknown_scope,
        error="invalid_scope",
    ),
    _refused(
        "forbidden_scope",
        "more scope than is granted is refused",
        _with_a_forbidden_scope,
        error="invalid_scope",
    ),
    _refused("altered_token", "a token with another signature is refused", _with_an_altered_token),
    _refused("unsigned_token", "a token without a signature is refused", _with_an_unsigned_token),
    _refused("expired_token", "an expired token is refused", _with_an_expired_token),
    _refused("refresh_token", "a refresh token is refused", _with_a_refresh_token),
    _refused(
        "client_credentials",
        "no token is issued for the client itself",
        _for_the_client_itself,
        error="unsupported_grant_type",
    ),
    _refused("repeated_parameter", "a repeated parameter is refused", _with_a_repeated_parameter),
    _refused("query", "parameters in the URL are refused", _with_a_query),
    _refused("no_form", "what is no form is refused", _as_text),
    _refused("get", "GET is refused", _by_get, status=405),
    Probe("plain_http", "nothing is served over plain http", _in_clear),
    _refused(
        "another_client",
        "a token is refused from another client than it is for",
        _by_another_client,
        alarming=True,
    ),
    _refused(
        "issued_token",
        "an issued token is refused from the client that it was issued to",
        _of_what_was_issued,
        alarming=True,
    ),
)
