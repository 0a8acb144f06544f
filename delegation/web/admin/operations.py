"""What an operation of the admin API is: its address, what it takes, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from delegation.domain.administration import Administrator, Capability
from delegation.domain.case import Origin
from delegation.web.admin.forms import Strict
from delegation.web.admin.requests import NoQuery
from delegation.web.admin.service import AdminService

BASE = "/admin/v1"

KEY_PATTERN = r"^[\x21-\x7E]{1,255}$"
"""What an `Idempotency-Key` may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that is understood: who asks, from where, and what of.

    *key* makes a repetition the same. *allows* raises unless the administrator may do this as well.
    """

    service: AdminService
    administrator: Administrator
    origin: Origin
    id: str = ""
    query: Any = None
    body: Any = None
    key: str | None = None
    allows: Callable[[Capability], None]


Answer = tuple[int, BaseModel]
"""A status and what stands in the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One verb at one address. *path* is below `BASE`; `{id}` in it is a parameter.

    *needs* are the scopes that it takes. *answers* are the models of what it answers, by status.
    """

    name: str
    method: str
    path: str
    summary: str
    needs: frozenset[Capability]
    handle: Callable[[Call], Answer]
    answers: Mapping[int, type[BaseModel]]
    query: type[Strict] = NoQuery
    body: type[Strict] | None = None
    takes_key: bool = False
    problems: tuple[int, ...] = field(default=())

    @property
    def address(self) -> str:
        """As OpenAPI writes it."""
        return BASE + self.path

    @property
    def takes_id(self) -> bool:
        """Whether it is about one thing."""
        return "{id}" in self.path
