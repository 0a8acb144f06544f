"""Why a request was refused, and what would have been needed: a sentence of each for every cause.

For the developer of an MCP server, who has the decision's id and an operator to ask.
"""

from collections.abc import Mapping
from typing import NamedTuple

from delegation.domain.errors import Cause, Reason


class Remedy(NamedTuple):
    """*why* goes after a colon; *needed* is sentences. `{token}` is the token that it is about."""

    why: str
    needed: str


TOKENS: Mapping[str, str] = {
    Reason.SUBJECT_TOKEN_REJECTED: "subject token",
    Reason.ACTOR_TOKEN_REJECTED: "actor token",
}
"""Which token a refusal is about, by its public reason."""

_NEW_TOKEN = "Get a new {token}"

REMEDIES: Mapping[Cause, Remedy] = {
    Cause.MALFORMED: Remedy(
        "a parameter is missing, comes twice, contradicts another or cannot be printed",
        "Mend the request: a form with grant_type, subject_token, subject_token_type and one "
        "target; an actor_token and its type only together.",
    ),
    Cause.CLIENT_NOT_ENABLED: Remedy(
        "the client may not exchange tokens",
        "Have the client's entry in the registry say `exchange: true`.",
    ),
    Cause.UNSUPPORTED_TOKEN_TYPE: Remedy(
        "a token type was named that is not exchanged here",
        "Send an access token, and call it so: the types ending in `access_token` and `jwt` are "
        "taken, for what is presented and for what is wanted.",
    ),
    Cause.TOKEN_MALFORMED: Remedy(
        "the {token} is no JWT, or one that could be read in two ways",
        "Send the {token} exactly as it was received: three parts with dots between, nothing "
        "before or after. Opaque tokens cannot be exchanged.",
    ),
    Cause.TOKEN_TOO_LARGE: Remedy(
        "the {token} is too large",
        "Have its issuer put less into it: groups and roles are what makes tokens grow.",
    ),
    Cause.TOKEN_HEADER: Remedy(
        "the header of the {token} lacks what is needed, or has what it must not have",
        "Have its issuer name the key in `kid` and the algorithm in `alg`, and bring no key along.",
    ),
    Cause.TOKEN_TYPE: Remedy(
        "the {token} is another kind of token than it has to be",
        "Send an access token, no ID token. If its issuer writes another `typ` than `at+jwt`, the "
        "issuer's entry has to say so.",
    ),
    Cause.TOKEN_CLAIMS: Remedy(
        "the {token} lacks a claim, or has one in another form than it must",
        "Have its issuer write it as RFC 9068 has it, or say in its entry what it is called.",
    ),
    Cause.ISSUER_NOT_TRUSTED: Remedy(
        "nobody of the {token}'s issuer is trusted here with such a token",
        "See that the token is of the issuer that you think, character by character; then have "
        "that issuer entered in the registry, for people or for actors.",
    ),
    Cause.ALGORITHM: Remedy(
        "the {token} is signed with an algorithm that is not its issuer's",
        "Have the issuer's entry list the algorithm that it uses, if it is one of ours.",
    ),
    Cause.KEY_UNKNOWN: Remedy(
        "the {token} is signed with a key that its issuer does not publish",
        _NEW_TOKEN + ". If its issuer has just changed its keys, try again in a minute.",
    ),
    Cause.SIGNATURE: Remedy(
        "the signature of the {token} does not hold",
        "Send the {token} exactly as it was received. If that is so, somebody has altered it, or "
        "another issuer goes by that name: a test system, say.",
    ),
    Cause.EXPIRED: Remedy(
        "the {token} has expired",
        _NEW_TOKEN + ": for a subject token, answer 401 to the agent.",
    ),
    Cause.NOT_YET_VALID: Remedy(
        "the {token} is not valid yet",
        "Set the clock of whoever issued it: no more than 30 seconds are forgiven.",
    ),
    Cause.LIFETIME_TOO_LONG: Remedy(
        "the {token} lives longer than any may",
        "Have its issuer make tokens that live for 24 hours at most.",
    ),
    Cause.LIFETIME_TOO_SHORT: Remedy(
        "the issued token would have had less than five seconds to live",
        "Get a subject or actor token that lives longer, before the old one ends; or see when the "
        "grant expires.",
    ),
    Cause.LOGIN_TOO_OLD: Remedy(
        "the login that the {token} comes from is more than a year old",
        "Let the person log in again.",
    ),
    Cause.AUDIENCE: Remedy(
        "the {token} does not say in `aud` whom it is for, or is for the wrong ones",
        "Have the agent ask for a token with the MCP server's own URL as its `resource`. If its "
        "issuer always names several in `aud`, the issuer's entry has to allow that. A workload's "
        "JWT is for this service alone.",
    ),
    Cause.PRESENTED_BY_ANOTHER_CLIENT: Remedy(
        "the {token} is addressed to somebody else than the client that presented it",
        "Send only tokens that were issued for this MCP server: `aud` has to be its audience, "
        "character by character. If that is a mistake of configuration, mend the client's entry.",
    ),
    Cause.CHAIN_MALFORMED: Remedy(
        "`act` in the {token} is no chain of actors",
        "Have its issuer write `act` as RFC 8693 has it: each with `iss` and `sub`.",
    ),
    Cause.CHAIN_NOT_TRUSTED: Remedy(
        "the {token} says who acts, and its issuer may not",
        "If that issuer may say who acts, its entry has to say `asserts_actors: true`.",
    ),
    Cause.ACTOR_IS_DELEGATED: Remedy(
        "who acts by the actor token acts for somebody already",
        "Show an actor token of the actor's own, without `act`.",
    ),
    Cause.ACTOR_IS_SUBJECT: Remedy(
        "the actor token names the subject itself",
        "Nobody acts for themselves: show who acts, or leave the actor token out.",
    ),
    Cause.ACTOR_NOT_PRESENTABLE: Remedy(
        "the client may not show this actor",
        "Have the client's entry list the actor in `may_present_actors`.",
    ),
    Cause.CHAIN_TOO_LONG: Remedy(
        "more would act, one for another, than the grant allows",
        "Go over fewer services, or have the grant say a higher `chain_limit`.",
    ),
    Cause.CHAIN_CYCLE: Remedy(
        "who would act stands in the chain already",
        "Mostly this is a loop between services: break it. If it is meant, the grant has to say "
        "`cycles: true`.",
    ),
    Cause.MAY_ACT: Remedy(
        "`may_act` in the subject token names somebody else",
        "Have the issuer name this client, and the actor where there is another, or leave "
        "`may_act` out.",
    ),
    Cause.NO_GRANT: Remedy(
        "no grant speaks of this subject, through this agent",
        "Have a grant for this client and resource name them: `delegation registry can-i` says "
        "which comes nearest, and what it is missing.",
    ),
    Cause.DENIED: Remedy(
        "the registry denies it, whatever grants say",
        "Nothing on the client's side helps: ask whoever wrote the denial, which the event names.",
    ),
    Cause.TARGET_MISSING: Remedy(
        "no target was named",
        "Name the API in `resource`, by its identifier, or in `audience`.",
    ),
    Cause.TARGET_MALFORMED: Remedy(
        "the target is no absolute https URI without fragment",
        "Send the identifier of the resource as the registry writes it.",
    ),
    Cause.TARGET_UNKNOWN: Remedy(
        "no resource is called so",
        "Send the identifier of the resource as the registry writes it, character by character: a "
        "slash at the end makes another one.",
    ),
    Cause.TARGET_AMBIGUOUS: Remedy(
        "more than one resource was named",
        "Ask for one token for each resource.",
    ),
    Cause.TARGET_NOT_ADMITTED: Remedy(
        "the resource does not admit the client, or no grant names both",
        "Two entries are needed: the resource lists the client in `clients`, and a grant names "
        "client and resource.",
    ),
    Cause.SCOPE_MALFORMED: Remedy(
        "the scope is not written as scopes are",
        "Send scopes with single spaces between them, without quotes.",
    ),
    Cause.SCOPE_EXCEEDED: Remedy(
        "more scope was asked for than the subject token, the grant and the resource give together",
        "Ask for less, or leave `scope` out to get all that there is; or have the grant say "
        "`downscope: true`.",
    ),
    Cause.SCOPE_EMPTY: Remedy(
        "of what was asked for nothing may be given",
        "See that the subject token has scopes which the grant maps to what is asked for.",
    ),
    Cause.LOCKED: Remedy(
        "it was stopped: a lock stands on something that the exchange involves",
        "Ask whoever runs the service: `delegation locks` lists what stands, by whom and why.",
    ),
    Cause.LINEAGE_DEAD: Remedy(
        "the {token}, or what it came from, was stopped or is not known any more",
        "Begin anew: let the person's agent get a new token. If it goes on, ask whoever runs the "
        "service what was stopped.",
    ),
    Cause.ALREADY_USED: Remedy(
        "what is good for one use was used before",
        "Make a new assertion for each request; where the grant says `single_use`, get a new "
        "subject token for each exchange.",
    ),
    Cause.LIMIT_PER_CLIENT: Remedy(
        "the client has made as many exchanges as it may for now",
        "Wait as long as `Retry-After` says, and keep a token for as long as it is good. "
        "`delegation usage` shows what is used; DELEGATION_LIMIT_PER_CLIENT is the limit.",
    ),
    Cause.LIMIT_PER_CLIENT_AND_SUBJECT: Remedy(
        "the client has made as many exchanges for this subject as it may for now",
        "Wait as long as `Retry-After` says, and keep a token for as long as it is good. Other "
        "clients can go on for the same subject. DELEGATION_LIMIT_PER_CLIENT_AND_SUBJECT is the "
        "limit.",
    ),
    Cause.LIMIT_PER_GRANT: Remedy(
        "the client has made as many exchanges under this grant as it may for now",
        "Wait as long as `Retry-After` says, and keep a token for as long as it is good. "
        "DELEGATION_LIMIT_PER_GRANT is the limit.",
    ),
    Cause.KEYS_REPLACED: Remedy(
        "a party publishes none of the keys that it had",
        "Ask that party whether it changed them all at once. If not, somebody else may be "
        "speaking in its name: lock it.",
    ),
}
"""Every cause there is."""
