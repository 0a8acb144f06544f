"""Reads single claims of a token whose signature has held. What is malformed is never absent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from delegation.domain.errors import Cause
from delegation.domain.parties import NOBODY, ActorChain, is_name
from delegation.domain.tokens import Authentication, Scope, parse_scope
from delegation.jose.parser import TokenFault, is_numeric_date

Claims = Mapping[str, Any]


def name(value: object, claim: str) -> str:
    """*value* as an identifier; *claim* is what the event calls it. Raises `TokenFault`."""
    if not is_name(value):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim=claim)
    return value


def optional_name(claims: Claims, claim: str) -> str | None:
    """The identifier in *claim*, `None` where it is absent. Raises `TokenFault`."""
    return name(claims[claim], claim) if claim in claims else None


def date(claims: Claims, claim: str) -> datetime:
    """The NumericDate in *claim* (RFC 7519 §2). Raises `TokenFault`."""
    value = claims.get(claim)
    if not is_numeric_date(value):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim=claim)
    return datetime.fromtimestamp(value, UTC)


def audience(claims: Claims) -> tuple[str, ...]:
    """The `aud` claim: a string or an array of strings (RFC 7519 §4.1.3). Raises `TokenFault`.

    Whether it names the client that presents the token is for the policy to say.
    """
    value = claims.get("aud")
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) and each for each in values):
        raise TokenFault(Cause.AUDIENCE, claim="aud")
    return tuple(values)


def scope(claims: Claims, claim: str) -> Scope:
    """The scope in *claim*, one string (RFC 8693 §4.2). Absent is empty, which allows nothing.

    Raises `TokenFault`; `ValueError` where the string is no scope.
    """
    if claim not in claims:
        return frozenset()
    if not isinstance(claims[claim], str):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim=claim)
    return parse_scope(claims[claim])


def scope_array(claims: Claims, claim: str) -> Scope:
    """The scope in *claim* as some issuers write it: an array with one scope token in each string.

    Raises as `scope` does.
    """
    values = claims.get(claim, [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim=claim)
    tokens = [parse_scope(each) for each in values]
    if any(len(token) != 1 for token in tokens):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim=claim)
    return frozenset().union(*tokens)


def actors(claims: Claims, *, default_issuer: str | None = None) -> ActorChain:
    """The `act` claim (RFC 8693 §4.1); nobody, where it is absent. Raises `TokenFault`."""
    if "act" not in claims:
        return NOBODY
    try:
        return ActorChain.from_claim(claims["act"], default_issuer=default_issuer)
    except ValueError as error:
        raise TokenFault(Cause.CHAIN_MALFORMED, problem=str(error)) from error


def may_act(claims: Claims) -> dict[str, str] | None:
    """The `may_act` claim (RFC 8693 §4.4), `None` where it is absent. Raises `TokenFault`."""
    if "may_act" not in claims:
        return None
    members = claims["may_act"]
    if not isinstance(members, dict) or not members or not all(map(is_name, members.values())):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim="may_act")
    return members


def authentication(claims: Claims) -> Authentication:
    """When and how the person authenticated (RFC 9068 §2.2.1), in whole seconds.

    Raises `TokenFault`.
    """
    amr = claims.get("amr", [])
    if not isinstance(amr, list) or not all(map(is_name, amr)):
        raise TokenFault(Cause.TOKEN_CLAIMS, claim="amr")
    return Authentication(
        time=date(claims, "auth_time").replace(microsecond=0) if "auth_time" in claims else None,
        acr=optional_name(claims, "acr"),
        amr=tuple(amr),
    )


def named(claims: Claims, names: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The claims that grants may match, under the names they use.

    One that holds neither a string nor an array of strings is left out: it matches nothing.
    """
    found = {label: _strings(claims.get(claim)) for label, claim in names.items()}
    return {label: values for label, values in found.items() if values}


def _strings(value: object) -> frozenset[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in values):
        return frozenset()
    return frozenset(values)
