"""Every code that lint may give: how grave it is, what it means, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from delegation.registry.problems import Code


class Severity(StrEnum):
    """How grave a finding is; the gravest first."""

    ERROR = "error"
    """The registry is not loaded."""
    WARNING = "warning"
    """It is loaded, and something in it has not the effect that it seems to have."""
    NOTICE = "notice"
    """It is loaded and does what it says; somebody should know."""


class LintCode(StrEnum):
    """The closed set of what is allowed, but not as it was meant."""

    CLIENT_SWITCHED_OFF = "client_switched_off"
    NO_CREDENTIALS = "no_credentials"
    NOBODY_CAN_ASK = "nobody_can_ask"
    KEYS_OUT_OF_REACH = "keys_out_of_reach"
    EXPIRED = "expired"
    DENY_EXPIRED = "deny_expired"
    LIFETIME_TOO_SHORT = "lifetime_too_short"
    CHAIN_TOO_SHORT = "chain_too_short"
    ONLY_ITSELF = "only_itself"
    GIVES_NOTHING = "gives_nothing"
    NEVER_GIVEN = "never_given"
    CLAIMS_DO_NOT_TRAVEL = "claims_do_not_travel"
    AUDIENCE_DIFFERS = "audience_differs"
    MEANT_ALREADY = "meant_already"
    DUPLICATE_GRANT = "duplicate_grant"
    INCLUDED_GRANT = "included_grant"
    ALL_DENIED = "all_denied"
    DENIES_MORE = "denies_more"

    DENIES_NOTHING = "denies_nothing"
    EXPIRES_SOON = "expires_soon"
    EVERYONE_ANY_AGENT = "everyone_any_agent"
    NO_OWNER = "no_owner"
    NO_DESCRIPTION = "no_description"
    REPEATED_VALUE = "repeated_value"
    UNUSED_ISSUER = "unused_issuer"
    UNUSED_CLIENT = "unused_client"
    UNUSED_RESOURCE = "unused_resource"
    UNUSED_TEAM = "unused_team"
    NO_REASON = "no_reason"
    NOTHING_IGNORED = "nothing_ignored"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code stands for. *remedy* is for whoever is to mend it.

    *is_told* says whether the message of each finding says that already.
    """

    severity: Severity
    meaning: str
    remedy: str
    is_told: bool = False


def _error(meaning: str, remedy: str) -> Rule:
    return Rule(Severity.ERROR, meaning, remedy)


def _told(meaning: str, remedy: str) -> Rule:
    """An error whose messages say what to do, as most of the loader do."""
    return Rule(Severity.ERROR, meaning, remedy, is_told=True)


def _warning(meaning: str, remedy: str) -> Rule:
    return Rule(Severity.WARNING, meaning, remedy)


def _notice(meaning: str, remedy: str) -> Rule:
    return Rule(Severity.NOTICE, meaning, remedy)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        Code.UNREADABLE: _error(
            "The file cannot be read, or is no plain text in UTF-8.",
            "Save it as plain text in UTF-8, in a regular file that this user may read.",
        ),
        Code.NOT_YAML: _error(
            "The file breaks the grammar of YAML, so nothing after that place is understood.",
            "Look at that line and the one before it: mostly it is the indentation, a bracket "
            "or a quote that is not closed, or a `:` in a text without quotes.",
        ),
        Code.SEVERAL_DOCUMENTS: _told(
            "A file holds one document.",
            "Put what follows `---` into a file of its own.",
        ),
        Code.ALIAS: _error(
            "Anchors, aliases and merge keys are not read: what a grant says stands in it.",
            "Write the value out; for what several grants share, make a team.",
        ),
        Code.TAG: _told("Tags are not read.", "Remove the tag."),
        Code.TOO_DEEP: _error(
            "A value is nested deeper than anything in a registry.",
            "Compare the indentation with the reference of the registry.",
        ),
        Code.KEY_NOT_TEXT: _told(
            "A key is no text, such as a number.",
            "Put the key in quotes.",
        ),
        Code.DUPLICATE_KEY: _error(
            "A key is written twice in one mapping. Readers of YAML take the one or the other.",
            "Keep one of the two, or merge their values.",
        ),
        Code.AMBIGUOUS_VALUE: _told(
            "Readers of YAML differ about what this value is: text, a number, or yes or no.",
            "Put it in quotes if it is text; else write true, false, null or a whole number.",
        ),
        Code.EMPTY_VALUE: _told(
            "A key has no value, or an empty one. Absence is written by leaving out the key.",
            "Write a value, or remove the key where it is optional.",
        ),
        Code.UNKNOWN_KEY: _error(
            "There is no such key, so it would have no effect.",
            "Write the key as the reference of the registry has it, or remove it.",
        ),
        Code.MISSING_KEY: _told(
            "A key is missing that must be written: nothing is assumed in its place.",
            "Add the key to this entry.",
        ),
        Code.WRONG_TYPE: _told(
            "A value is of another type than its key takes.",
            "Write it as a text, a whole number, a list or a mapping, as the message says.",
        ),
        Code.WRONG_VALUE: _told(
            "A value has another form than its key takes.",
            "Write it in the form that the message says.",
        ),
        Code.NO_TIME_ZONE: _told(
            "A time has no time zone, so nobody knows when it is.",
            "Add `Z` for UTC, or an offset such as +01:00.",
        ),
        Code.RESERVED_CLAIM: _told(
            "A claim that has a meaning of its own would be given another.",
            "Name the claim that really holds this, or leave the key out for the usual one.",
        ),
        Code.RESERVED_TYPE: _error(
            "A `typ` that other kinds of token have: these would be taken for access tokens.",
            "Name the `typ` that only this issuer's access tokens have.",
        ),
        Code.NO_SUBJECTS: _told(
            "The entry means nobody. Nobody never becomes everybody.",
            "Say who is meant, with `people`, `claims` or `everyone: true`.",
        ),
        Code.EMPTY_TEAM: _told(
            "A team has nobody of the kind that it is named for.",
            "Give the team those members, or take it out here.",
        ),
        Code.PRIVATE_KEY: _told(
            "A private key stands in a file that others can read.",
            "Make a new key pair, write its public half here, and use the old one no more.",
        ),
        Code.WRONG_KEY: _error(
            "A public key is not whole, or not of the kind that it says.",
            "Copy the public JWK again as its tool wrote it.",
        ),
        Code.CONTRADICTION: _told(
            "Two things are said that exclude one another.",
            "Decide for one of them.",
        ),
        Code.DUPLICATE_ID: _told(
            "A name stands for two things. All files together are one registry.",
            "Rename one of the two, and what refers to it; or remove it.",
        ),
        Code.SHARED_AUDIENCE: _error(
            "Two clients have one identifier: one could present what the other was sent.",
            "Give each client the identifier that its own tokens say in `aud`.",
        ),
        Code.SHARED_SECRET: _error(
            "Two clients have one secret: one could pass for the other.",
            "Make a secret for each with `delegation clients new-secret`.",
        ),
        Code.SHARED_KEY: _told(
            "Two clients have one key: one could pass for the other.",
            "Make a key pair for each.",
        ),
        Code.SHARED_NAME: _error(
            "A name leads to two resources.",
            "Leave it with the one that clients mean by it.",
        ),
        Code.OWN_ISSUER: _error(
            "Something in the registry is this service itself, which is never configured.",
            "Remove it; or, if this service is another one, set `--issuer` to that.",
        ),
        Code.ADMIN_AUDIENCE: _told(
            "Tokens for this would open the admin API.",
            "Give it an identifier of its own.",
        ),
        Code.SELF_TARGET: _error(
            "A client is admitted to itself: it would hand itself new tokens.",
            "Take the client out of the resource's `clients`.",
        ),
        Code.UNKNOWN_REFERENCE: _error(
            "Something is named that is not in the registry.",
            "Correct the name, or add the entry that it is the name of.",
        ),
        Code.UNKNOWN_SCOPE: _error(
            "A scope is named that its resource does not list in `scopes`.",
            "Correct it, or have the owner of the resource add it to `scopes` there.",
        ),
        Code.UNKNOWN_CLAIM: _error(
            "A claim is asked for that its issuer's entry does not name, so it is never looked at.",
            "Correct it, or add it to `claims` of the issuer.",
        ),
        Code.NOT_ADMITTED: _error(
            "A grant is for a client that the resource does not admit. Both sides opt in.",
            "Have the owner of the resource add the client to `clients` there.",
        ),
        LintCode.CLIENT_SWITCHED_OFF: _warning(
            "A grant is for a client that may not exchange: nobody can use it.",
            "Write `exchange: true` at the client if it may exchange tokens; else remove the "
            "grant.",
        ),
        LintCode.NO_CREDENTIALS: _warning(
            "A client has neither secrets nor keys: whatever it may do, it cannot say who it is.",
            "Add what `delegation clients new-secret` prints to `secrets`, or its public key "
            "to `keys`.",
        ),
        LintCode.NOBODY_CAN_ASK: _warning(
            "A resource is said to introspect, but every client that could do so for it is "
            "without credentials. What is stopped would count as stopped there too early.",
            "Give the client whose `audience` is this resource `secrets` or `keys`, or remove "
            "`introspects`.",
        ),
        LintCode.KEYS_OUT_OF_REACH: _warning(
            "An issuer's or a client's keys are at a private address, from which nothing is "
            "fetched: all its tokens are refused.",
            "Write `private_network: true` if they really are there; else its public address.",
        ),
        LintCode.EXPIRED: _warning(
            "A grant has ended: it gives nothing.",
            "Remove it; or give it another end, if it is still meant.",
        ),
        LintCode.DENY_EXPIRED: _warning(
            "A deny has ended: what it took, grants give again.",
            "Remove it; or give it another end, or `expires: never`, if it is still meant.",
        ),
        LintCode.LIFETIME_TOO_SHORT: _warning(
            "A grant's tokens would live for less than any token that is issued: it gives none.",
            "Write a `lifetime` of 5 seconds or more; 300 is usual.",
        ),
        LintCode.CHAIN_TOO_SHORT: _warning(
            "A grant names its agents and leaves no room for them: agent and client are two.",
            "Write `chain_limit: 2` or more, or leave it out.",
        ),
        LintCode.ONLY_ITSELF: _warning(
            "A grant means a subject only through itself: that is a machine's own token, which "
            "a grant for people does not take.",
            "Write `services: true` if the machine itself is meant; else name the people or "
            "the agents that are.",
        ),
        LintCode.GIVES_NOTHING: _warning(
            "A grant gives none of its scopes, for the resource admits its client to none of them.",
            "Have the owner of the resource add one of these scopes to what it admits the "
            "client to, or remove the grant.",
        ),
        LintCode.NEVER_GIVEN: _warning(
            "A grant names a scope that the resource does not admit its client to: it is "
            "never given.",
            "Take the scope out of the grant, or have the owner of the resource admit the "
            "client to it.",
        ),
        LintCode.CLAIMS_DO_NOT_TRAVEL: _warning(
            "A grant asks for claims through a client of this service. The tokens issued here "
            "carry no claims of the issuer, so nobody has them.",
            "Name `people`, or write `everyone: true`: whoever comes through that client was "
            "admitted by the grant of that client.",
        ),
        LintCode.AUDIENCE_DIFFERS: _warning(
            "A grant counts on tokens that another client is given, and these are for a name "
            "that is not the `audience` of its own client.",
            "Make the client's `audience` and the resource's `identifier` the same, character "
            "by character.",
        ),
        LintCode.MEANT_ALREADY: _warning(
            "Whoever is meant by one of a grant's subjects is meant by another one already.",
            "Remove it; or narrow the wider one, if that is not meant.",
        ),
        LintCode.DUPLICATE_GRANT: _warning(
            "Two grants are the same but for their names: to stop or remove one stops nothing.",
            "Remove one of the two: as it is, to stop or remove the one stops nothing.",
        ),
        LintCode.INCLUDED_GRANT: _warning(
            "Whatever a grant gives, another one gives, too, and its limits do not hold: to "
            "stop or remove it stops nothing.",
            "Remove it; or narrow the other one, if its limits are meant.",
        ),
        LintCode.ALL_DENIED: _warning(
            "A deny takes all that a grant gives: nobody can use it.",
            "Remove the grant; or narrow the deny, if that goes too far.",
        ),
        LintCode.DENIES_MORE: _warning(
            "A deny asks for claims, and tokens issued here, which carry none, reach its "
            "client. What is not known is denied: so it denies everyone who comes that way.",
            "Name `people` or `agents` in the deny; or deny it at the first client, to which "
            "people's own tokens come.",
        ),
        LintCode.DENIES_NOTHING: _notice(
            "No grant gives what a deny takes. It is a guard for grants to come, or its names "
            "are not the right ones.",
            "Compare its client, resource, scopes and people with the grants that it is against.",
        ),
        LintCode.EXPIRES_SOON: _notice(
            "A grant or a deny ends within 30 days.",
            "Let its owner decide now: give it another end, or remove it when it has ended.",
        ),
        LintCode.EVERYONE_ANY_AGENT: _notice(
            "A grant is for everyone of an issuer, through any agent: whatever a person signs "
            "in to may do this for them.",
            "Name the `agents`, or the people by `claims`, if fewer are enough.",
        ),
        LintCode.NO_OWNER: _notice(
            "A grant has no owner: nobody to ask whether it is still needed.",
            "Write `owner:` with the team that answers for it.",
        ),
        LintCode.NO_DESCRIPTION: _notice(
            "A grant does not say what it is for.",
            "Write `description:` with the purpose, in words for a reviewer.",
        ),
        LintCode.REPEATED_VALUE: _notice(
            "A list has a value twice: perhaps another one was meant.",
            "Remove it, or write what was meant.",
        ),
        LintCode.UNUSED_ISSUER: _notice(
            "No grant is for anybody of a trusted issuer: it is trusted for nothing.",
            "Remove it, unless its grants are still to come.",
        ),
        LintCode.UNUSED_CLIENT: _notice(
            "A client may exchange tokens, and no grant is for it.",
            "Remove it or write `exchange: false`, unless its grants are still to come.",
        ),
        LintCode.UNUSED_RESOURCE: _notice(
            "No grant is for a resource: no token is ever issued for it.",
            "Remove it, unless its grants are still to come.",
        ),
        LintCode.UNUSED_TEAM: _notice(
            "No grant names a team.",
            "Remove it, unless its grants are still to come.",
        ),
        LintCode.NO_REASON: _notice(
            "A comment asks to ignore a finding and does not say which, or why. It is not heeded.",
            "Write `# lint: ignore CODE: ` and why this is meant as it is.",
        ),
        LintCode.NOTHING_IGNORED: _notice(
            "A comment asks to ignore what is not found there: it was mended, or never was.",
            "Remove the comment; or put it right above the entry or the line that it is about.",
        ),
    }
)
"""By code; those of the loader first."""
