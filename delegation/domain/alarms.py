"""What somebody should look at now, where there is no refusal that says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from delegation.domain.errors import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that happened, for *cause*, *about* a client or an issuer.

    *source* is the address that it came from, `None` where it came from nobody; *detail* is what
    the event should say of it.
    """

    cause: Cause
    about: str
    source: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
