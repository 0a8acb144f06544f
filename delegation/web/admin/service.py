"""What the admin API needs of the rest of the house, as one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delegation.domain.administration import Administration, Administrator
from delegation.domain.ports import Alarms, AuditTrail, Presence, QuotaUsage
from delegation.domain.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key of ours as others may see it, and its *status*."""

    kid: str
    algorithm: str
    status: str
    jwk: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRegistry:
    """What the files say that are in force, by their names, with no digest of any secret.

    *issuer* and *admin_audience* are ours: what the files mean depends on them.
    """

    issuer: str
    admin_audience: str
    revision: str
    files: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminService:
    """An admin API that is ready to be put on the web.

    *audience* is what administrators' tokens are for. *authenticate* verifies one; it raises
    `AdministratorRejected` or `Unavailable`. *problems* names what is unwell; it is empty when all
    is well, and its names are constants.
    """

    audience: str
    registry: Callable[[], Registry]
    loaded: Callable[[], LoadedRegistry]
    authenticate: Callable[[str], Administrator]
    administration: Administration
    presence: Presence
    alarms: Alarms
    quota: QuotaUsage
    trail: AuditTrail
    public_keys: Callable[[], Sequence[PublicKey]]
    problems: Callable[[], Sequence[str]]
