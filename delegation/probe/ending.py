"""Whether a token is alive, who may know it, and that it ends with all that grew from it."""

from delegation.probe.findings import Forbidden, NotOk, NotTried, Wrong
from delegation.probe.refusals import must_refuse
from delegation.probe.round import Probe, Round

_SAID = ("iss", "sub", "aud", "client_id", "scope", "exp", "jti", "act")
"""What introspection says in the token's own words."""


def _introspection(round_: Round) -> None:
    issued = round_.the_issued()
    told = round_.introspect(round_.the_api(), issued.value)
    if not told["active"]:
        raise Wrong("a token that was issued just now is not active")
    other = [name for name in _SAID if told.get(name) != issued.claims.get(name)]
    if other:
        raise Wrong(f"introspection says something else than the token: {', '.join(other)}")


def _introspection_by_another(round_: Round) -> None:
    told = round_.introspect(round_.target.service, round_.the_issued().value)
    if told != {"active": False}:
        raise Forbidden("who is not concerned is told of the token")


def _revocation_by_another(round_: Round) -> None:
    api, token = round_.the_api(), round_.the_issued().value
    round_.revoke(round_.the_other(), token)
    if not round_.introspect(api, token)["active"]:
        raise Forbidden("another client has revoked the token")


def _revocation(round_: Round) -> None:
    token = round_.the_issued().value
    round_.revoke(round_.target.service, token)
    if round_.target.api is not None and round_.introspect(round_.target.api, token)["active"]:
        raise Forbidden("a revoked token is active")


def _revoked_parent(round_: Round) -> None:
    sent = round_.onward()
    must_refuse(round_.trade(sent), sent, status=400, error="invalid_request")


def _child_of_revoked(round_: Round) -> None:
    if round_.child is None:
        raise NotTried("nothing was issued for the token")
    if not round_.child_seen:
        raise NotTried("it takes an API that may introspect everything: `auditor: true`")
    if round_.introspect(round_.the_api(), round_.child.value)["active"]:
        raise Forbidden("what grew from a revoked token is active")


def _clean_up(round_: Round) -> None:
    failed: list[NotOk] = []
    for by, token in round_.given:
        try:
            round_.revoke(by, token)
        except NotOk as error:
            failed.append(error)
    if failed:
        raise failed[0]


ENDS = (
    Probe("introspection", "the API is told what the token says", _introspection),
    Probe(
        "introspection_by_another",
        "who is not concerned is told nothing",
        _introspection_by_another,
    ),
    Probe(
        "revocation_by_another",
        "nobody revokes another client's token",
        _revocation_by_another,
        alarming=True,
    ),
    Probe("revocation", "a client ends its token", _revocation),
    Probe("child_of_revoked", "what grew from the token ends with it", _child_of_revoked),
    Probe(
        "revoked_parent",
        "nothing grows from a token that has ended",
        _revoked_parent,
        alarming=True,
    ),
    Probe("clean_up", "every token that was issued here is revoked", _clean_up),
)
