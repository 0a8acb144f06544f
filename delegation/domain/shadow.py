"""What grants in shadow would have changed, had they counted. It is reported, and has no effect."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What would have been decided of a request instead, with the grants in shadow enforced.

    *grants* are the ids of those among them that speak of it. It would have been refused for
    *cause*, a `Cause`; or, where that is `None`, *grant* would have given *scope* until
    *expires_at*.
    """

    grants: tuple[str, ...]
    cause: str | None = None
    grant: str | None = None
    scope: frozenset[str] = frozenset()
    expires_at: datetime | None = None
