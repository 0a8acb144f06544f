"""What must work: metadata, keys, an exchange; and that its token says what it may, and no more."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from delegation.client.bearer import CannotVerify, NotServed
from delegation.client.discovery import well_known
from delegation.client.errors import Unavailable
from delegation.client.jwks import IssuerKeys
from delegation.client.rfc8693 import ACCESS_TOKEN, GRANT_TYPE, IssuedToken, Request, TokenResponse
from delegation.client.verify import Expected
from delegation.client.wire import Answer, Unusable, must_be_safe
from delegation.probe.findings import Forbidden, NoAnswer, NotTried, Wrong
from delegation.probe.forging import claims_in
from delegation.probe.round import Attempt, Issued, Probe, Round, must_not_be_kept, said_in
from delegation.probe.target import NoToken

LONGEST_LIFE = 900
"""Seconds that an issued token may ever live."""

_ROUNDING = 5
"""Seconds by which `expires_in` may differ from what the token says."""

_ENDPOINTS = ("token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri")

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""Members of a JWK that nobody may see (RFC 7518 §6, RFC 8037 §2)."""


def _metadata(round_: Round) -> None:
    issuer = round_.target.service.issuer
    answer = round_.get(well_known(issuer, "oauth-authorization-server"))
    if answer.status != httpx2.codes.OK or answer.body is None:
        raise Wrong(f"the metadata was answered {said_in(answer)}")
    found = answer.body
    if found.get("issuer") != issuer:
        raise Wrong("the metadata names another issuer")
    round_.metadata = found
    for name in _ENDPOINTS:
        try:
            must_be_safe(str(found.get(name)))
        except Unusable:
            raise Wrong(f"the metadata names no {name} that could be used") from None
    if GRANT_TYPE not in (found.get("grant_types_supported") or ()):
        raise Wrong("the metadata does not say that tokens are exchanged")


def _keys(round_: Round) -> None:
    answer = round_.get(round_.endpoint("jwks_uri"))
    listed = (answer.body or {}).get("keys")
    if answer.status != httpx2.codes.OK or not isinstance(listed, list):
        raise Wrong(f"the key set was answered {said_in(answer)}")
    keys = [key for key in listed if isinstance(key, dict)]
    if any(_PRIVATE & key.keys() for key in keys):
        raise Forbidden("the key set shows a private key, or a shared one")
    names = [key.get("kid") for key in keys]
    if not names or None in names or len(set(map(str, names))) != len(listed):
        raise Wrong("the key set holds no key, or keys that no name tells apart")


def _exchange(round_: Round) -> None:
    try:
        round_.subject_token = round_.target.subject_token()
    except NoToken as error:
        raise NoAnswer(f"there is no subject token: {error}") from error
    sent = round_.sound()
    answer = round_.trade(sent)
    round_.issued = _issued(answer, sent)
    members = answer.body or {}
    if members.get("issued_token_type") != ACCESS_TOKEN:
        raise Wrong("the answer does not say that it is an access token")
    if "refresh_token" in members:
        raise Forbidden("the answer brings a refresh token")
    must_not_be_kept(answer)


def _issued(answer: Answer, sent: Attempt) -> Issued:
    """What came of an exchange that must work. Raises a `NotOk`."""
    members = answer.body or {}
    token = members.get("access_token")
    if answer.status != httpx2.codes.OK or not isinstance(token, str):
        raise Wrong(f"it was answered {said_in(answer)}")
    shown = dict(sent.form)["subject_token"]
    if token == shown:
        raise Forbidden("the subject token itself was given back")
    try:
        IssuedToken.read(TokenResponse(body=members, decision=None), Request(subject_token=shown))
    except Unavailable as error:
        raise Wrong(str(error)) from error
    try:
        claims = claims_in(token)
    except NotTried:
        raise Wrong("what was issued is no JWT") from None
    return Issued(value=token, answer=answer, claims=claims)


def _token(round_: Round) -> None:
    _must_verify(round_, round_.the_issued(), round_.target.resource)


def _must_verify(round_: Round, issued: Issued, resource: str) -> None:
    """As an API would."""
    issuer = round_.target.service.issuer
    expected = Expected(issuer=issuer, resource=resource)
    keys = IssuerKeys(issuer, jwks_uri=round_.endpoint("jwks_uri"), http=round_.http)
    try:
        unverified = expected.parse(issued.value)
        expected.read(unverified, keys.find(unverified.kid), time.time())
    except CannotVerify as error:
        raise NoAnswer(error.reason) from error
    except NotServed as error:
        raise Wrong(f"an API would not take it: {error.reason}") from error


def _audience(round_: Round) -> None:
    _must_be_for(round_.the_issued(), round_.target.resource)


def _must_be_for(issued: Issued, resource: str) -> None:
    if issued.claims.get("aud") not in (resource, [resource]):
        raise Forbidden("it is good at another API, or at several")


def _subject(round_: Round) -> None:
    _must_be_of_the_subject(round_.the_issued(), round_)


def _must_be_of_the_subject(issued: Issued, round_: Round) -> None:
    shown = claims_in(round_.the_subject_token())
    named = issued.claims.get("sub_id") or {
        "iss": shown.get("iss"),
        "sub": issued.claims.get("sub"),
    }
    if not isinstance(named, dict) or any(named.get(it) != shown.get(it) for it in ("iss", "sub")):
        raise Forbidden("it is for somebody else")


def _actors(round_: Round) -> None:
    shown = claims_in(round_.the_subject_token())
    _must_act(round_.the_issued(), round_.target.service.client_id, shown, round_)


def _must_act(issued: Issued, client_id: str, shown: Mapping[str, Any], round_: Round) -> None:
    """RFC 8693 §4.1: the client acts now; whoever acted before stands within, and none is gone."""
    claims = issued.claims
    chain, before = list(_chain(claims.get("act"))), list(_chain(shown.get("act")))
    if not chain:
        raise Forbidden("nobody acts in it: it is impersonation")
    if (
        chain[0] != (round_.target.service.issuer, client_id)
        or claims.get("client_id") != client_id
    ):
        raise Forbidden("another than the client acts in it")
    # Whose actors they are, their issuer need not have said.
    subjects, known = [hop[1] for hop in chain[1:]], [hop[1] for hop in before]
    if known and subjects[-len(known) :] != known:
        raise Forbidden("who acted before is not in it")


def _chain(hop: object) -> Iterator[tuple[object, object]]:
    while isinstance(hop, dict):
        yield hop.get("iss"), hop.get("sub")
        hop = hop.get("act")


def _scope(round_: Round) -> None:
    issued = round_.the_issued()
    given, asked = str(issued.claims.get("scope", "")), round_.target.scope
    if not set(given.split()) <= set(asked.split()):
        raise Forbidden("it allows more than was asked for")
    if set(given.split()) != set(asked.split()):
        raise Wrong("it allows less than was asked for")
    if (issued.answer.body or {}).get("scope") != given:
        raise Wrong("the answer says another scope than the token")


def _lifetime(round_: Round) -> None:
    shown = claims_in(round_.the_subject_token())
    _must_end(round_.the_issued(), shown)


def _must_end(issued: Issued, parent: Mapping[str, Any]) -> None:
    begins, ends = _second(issued.claims, "iat"), _second(issued.claims, "exp")
    if ends > _second(parent, "exp"):
        raise Forbidden("it outlives the token that it grew from")
    if ends - begins > LONGEST_LIFE:
        raise Forbidden(f"it lives for longer than {LONGEST_LIFE} s")
    said = (issued.answer.body or {}).get("expires_in")
    if type(said) is not int or abs(said - (ends - begins)) > _ROUNDING:
        raise Wrong("the answer does not say how long it lives")


def _second(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if type(value) not in (int, float):
        raise Wrong(f"a token says no {name}")
    return float(value)  # type: ignore[arg-type]


def _onward(round_: Round) -> None:
    sent, parent = round_.onward(), round_.the_issued()
    api, resource = sent.by, dict(sent.form)["resource"]
    child = _issued(round_.trade(sent), sent)
    _must_be_for(child, resource)
    _must_be_of_the_subject(child, round_)
    _must_act(child, api.client_id, parent.claims, round_)
    _must_end(child, parent.claims)
    _must_verify(round_, child, resource)
    round_.child = child
    round_.child_seen = round_.introspect(api, child.value)["active"]


WORKS = (
    Probe("metadata", "the metadata is the issuer's own, and names its endpoints", _metadata),
    Probe("keys", "the key set has keys, and nothing private", _keys),
    Probe("exchange", "what is granted is exchanged", _exchange),
    Probe("token", "an API can verify the token", _token),
    Probe("audience", "the token is good at one API alone", _audience),
    Probe("subject", "the token is for the person of the subject token", _subject),
    Probe("actors", "the token says who acts, and who acted before", _actors),
    Probe("scope", "the token allows what was asked for", _scope),
    Probe("lifetime", "the token ends with its parent, or before", _lifetime),
    Probe("onward", "the API can exchange the token for the next one", _onward),
)
