"""Every way an exchange does not happen, with its OAuth error code, public reason and closed cause.

Refused                         the answer is no: 400
├── InvalidRequest              invalid_request          malformed_request
│   ├── SubjectTokenRejected    invalid_request          subject_token_rejected
│   ├── ActorTokenRejected      invalid_request          actor_token_rejected
│   └── NotPermitted            invalid_request          not_permitted
├── UnauthorizedClient          unauthorized_client      not_permitted
├── InvalidTarget               invalid_target           not_permitted
├── InvalidScope                invalid_scope            not_permitted
└── TooManyExchanges            temporarily_unavailable  rate_limited
AssertionRejected               nobody has been authenticated: 401
Unavailable                     there is no answer: 503

Each refusal has two texts. The *description* is for the client: constant, and nothing the client
sent is ever put into it (RFC 6749 §5.2). The *cause* and the *detail* are for the event alone.
"""

from enum import StrEnum
from typing import ClassVar

from delegation.domain.shadow import Shadow


class Reason(StrEnum):
    """What a client is told besides the error code, so that it can tell what to do next."""

    MALFORMED_REQUEST = "malformed_request"  # mend the request
    SUBJECT_TOKEN_REJECTED = "subject_token_rejected"  # get a new token from the user's side
    ACTOR_TOKEN_REJECTED = "actor_token_rejected"  # get a new actor token
    NOT_PERMITTED = "not_permitted"  # no token will help; a grant might
    RATE_LIMITED = "rate_limited"  # wait, and ask for the same again


class Cause(StrEnum):
    """Why, exactly: the closed set that events and metrics use. Never shown to the client."""

    MALFORMED = "malformed"
    CLIENT_NOT_ENABLED = "client_not_enabled"
    UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"

    TOKEN_MALFORMED = "token_malformed"
    TOKEN_TOO_LARGE = "token_too_large"
    TOKEN_HEADER = "token_header"
    TOKEN_TYPE = "token_type"
    TOKEN_CLAIMS = "token_claims"
    ISSUER_NOT_TRUSTED = "issuer_not_trusted"
    ALGORITHM = "algorithm"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    LIFETIME_TOO_SHORT = "lifetime_too_short"
    LOGIN_TOO_OLD = "login_too_old"
    AUDIENCE = "audience"
    PRESENTED_BY_ANOTHER_CLIENT = "presented_by_another_client"
    CHAIN_MALFORMED = "chain_malformed"
    CHAIN_NOT_TRUSTED = "chain_not_trusted"
    ACTOR_IS_DELEGATED = "actor_is_delegated"
    ACTOR_IS_SUBJECT = "actor_is_subject"
    ACTOR_NOT_PRESENTABLE = "actor_not_presentable"

    CHAIN_TOO_LONG = "chain_too_long"
    CHAIN_CYCLE = "chain_cycle"
    MAY_ACT = "may_act"
    NO_GRANT = "no_grant"
    DENIED = "denied"

    TARGET_MISSING = "target_missing"
    TARGET_MALFORMED = "target_malformed"
    TARGET_UNKNOWN = "target_unknown"
    TARGET_AMBIGUOUS = "target_ambiguous"
    TARGET_NOT_ADMITTED = "target_not_admitted"

    SCOPE_MALFORMED = "scope_malformed"
    SCOPE_EXCEEDED = "scope_exceeded"
    SCOPE_EMPTY = "scope_empty"

    LOCKED = "locked"
    LINEAGE_DEAD = "lineage_dead"
    ALREADY_USED = "already_used"

    LIMIT_PER_CLIENT = "limit_per_client"
    LIMIT_PER_CLIENT_AND_SUBJECT = "limit_per_client_and_subject"
    LIMIT_PER_GRANT = "limit_per_grant"

    KEYS_REPLACED = "keys_replaced"


ALARMING = frozenset(
    {
        Cause.PRESENTED_BY_ANOTHER_CLIENT,
        Cause.LINEAGE_DEAD,
        Cause.ALREADY_USED,
        Cause.KEYS_REPLACED,
    }
)
"""Causes that somebody should look at now: a stolen token looks like this, or a stolen issuer."""


class Refused(Exception):
    """The exchange is refused, for *cause*; *detail* is what the event should say of it."""

    error: ClassVar[str]
    reason: ClassVar[Reason]
    description: ClassVar[str]

    def __init__(self, cause: Cause, **detail: object) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.detail = detail
        self.decision: str | None = None
        """The decision's id, once the refusal has been recorded."""
        self.shadow: Shadow | None = None
        """What would have been decided with the grants in shadow, where that differs."""


class InvalidRequest(Refused):
    """A parameter is missing, repeated, contradictory or unsupported (RFC 8693 §2.1)."""

    error = "invalid_request"
    reason = Reason.MALFORMED_REQUEST
    description = "a parameter is missing, repeated, malformed or not supported"


class SubjectTokenRejected(InvalidRequest):
    """The subject token is not acceptable: MUST be invalid_request (RFC 8693 §2.2.2)."""

    reason = Reason.SUBJECT_TOKEN_REJECTED
    description = "the subject token is not acceptable"


class ActorTokenRejected(InvalidRequest):
    """The actor token is not acceptable: MUST be invalid_request (RFC 8693 §2.2.2)."""

    reason = Reason.ACTOR_TOKEN_REJECTED
    description = "the actor token is not acceptable"


class NotPermitted(InvalidRequest):
    """Sound tokens, but policy says no. RFC 8693 §2.2.2: "unacceptable based on policy"."""

    reason = Reason.NOT_PERMITTED
    description = "the exchange is not permitted"


class UnauthorizedClient(Refused):
    """The client is known, but not enabled for token exchange. RFC 6749 §5.2."""

    error = "unauthorized_client"
    reason = Reason.NOT_PERMITTED
    description = "the client may not use token exchange"


class InvalidTarget(Refused):
    """The target is malformed, unknown or withheld: one answer for all (RFC 8707 §2)."""

    error = "invalid_target"
    reason = Reason.NOT_PERMITTED
    description = "no token is issued for the requested target"


class InvalidScope(Refused):
    """More scope than all parties allow, or none at all. RFC 6749 §5.2.

    *required* are the scopes of the subject token that would have sufficed; empty where none would.
    """

    error = "invalid_scope"
    reason = Reason.NOT_PERMITTED
    description = "the requested scope is malformed or exceeds what can be delegated"

    def __init__(
        self, cause: Cause, *, required: frozenset[str] = frozenset(), **detail: object
    ) -> None:
        super().__init__(cause, **detail)
        self.required = required


class TooManyExchanges(Refused):
    """All is well but for a rate that is used up: 429 (RFC 6585 §4), and nothing was counted.

    *retry_after* is in seconds.
    """

    error = "temporarily_unavailable"
    reason = Reason.RATE_LIMITED
    description = "too many exchanges; try again later"

    def __init__(self, cause: Cause, *, retry_after: int = 1, **detail: object) -> None:
        super().__init__(cause, **detail)
        self.retry_after = retry_after


class AssertionRejected(Exception):
    """The client assertion is not acceptable. Nobody is known yet: no decision, and no event.

    *claimed* is the client that it named, for counting failures and for the log alone; *detail* is
    for the log.
    """

    def __init__(self, cause: Cause, *, claimed: str | None = None, **detail: object) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.claimed = claimed
        self.detail = detail


class Unavailable(Exception):
    """There is no answer: the ledger or an issuer's keys are out of reach or unwell. Fail closed.

    *problem* is a short constant for the log and the readiness report; it never reaches a client.
    """

    def __init__(self, problem: str, *, retry_after: int = 2) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after = retry_after


class TrailUnreadable(Unavailable):
    """The sealed segments of the audit trail cannot be read: no answer is made from the rest."""

    def __init__(self) -> None:
        super().__init__("audit_trail_unreadable")


class LockIncomplete(Unavailable):
    """It is not done everywhere yet: the *missing* partitions lack it. Its event stands.

    The same again completes what is missing.
    """

    def __init__(self, missing: tuple[int, ...]) -> None:
        super().__init__("lock_incomplete")
        self.missing = missing
