"""What an MCP server or an API imports. It imports nothing of the service.

    import httpx2
    from delegation.client import DelegatedAuth

    calendar = httpx2.AsyncClient(auth=DelegatedAuth("https://calendar.example/api"))

Every request of that client carries a token for the user it is made for, for this API alone.
"""

from delegation.client.auth import DelegatedAuth
from delegation.client.credentials import PrivateKey
from delegation.client.current import (
    CallContext,
    acting_for,
    current_context,
    current_subject_token,
    in_call,
)
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
)
from delegation.client.exchanger import Exchanger, shared
from delegation.client.plain import exchange, exchange_sync
from delegation.client.rfc8693 import IssuedToken
from delegation.client.service import Service
from delegation.client.wanted import Wanted

__all__ = [
    "ActorTokenRejected",
    "CallContext",
    "ClientRejected",
    "ConfigurationInvalid",
    "DelegatedAuth",
    "DelegationError",
    "Exchanger",
    "InsufficientScope",
    "IssuedToken",
    "NoActorToken",
    "NoSubjectToken",
    "NotPermitted",
    "PrivateKey",
    "Refused",
    "Service",
    "SubjectTokenRejected",
    "Unavailable",
    "Wanted",
    "WrongOrigin",
    "acting_for",
    "current_context",
    "current_subject_token",
    "exchange",
    "exchange_sync",
    "in_call",
    "shared",
]
