"""Who answers questions to the registry: the files themselves, or a service that has loaded it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from delegation.cli.admin_api import Api, reached
from delegation.cli.common import give_up
from delegation.cli.terminal import printable
from delegation.domain.questions import Question, Unaskable, can_i
from delegation.domain.registry import Registry
from delegation.domain.tokens import SEPARATOR
from delegation.domain.ways import what_can, who_can
from delegation.registry.loader import load
from delegation.registry.problems import RegistryInvalid
from delegation.web.admin.verdict import decided
from delegation.web.admin.ways import WayList

A = TypeVar("A")

UNANSWERED = 2
"""The exit status where there is no answer: it must not be taken for a no."""


class Files:
    """The files in a directory, for the service that is *issuer*; asked for the time *at*.

    Where they cannot be used, or cannot be asked that, the command ends, saying why.
    """

    def __init__(
        self, directory: Path, *, issuer: str, admin_audience: str | None, at: datetime | None
    ) -> None:
        self._now = at or datetime.now(UTC)
        try:
            self._registry: Registry = load(directory, issuer=issuer, admin_audience=admin_audience)
        except RegistryInvalid as invalid:
            give_up(*map(str, invalid.problems), status=UNANSWERED)

    def can_i(self, **asked: Any) -> dict[str, Any]:
        """Whether a token would be issued. *asked* is all that a question has but its time."""
        question = Question(**asked, now=self._now)
        return decided(_answered(lambda: can_i(question, self._registry)))

    def who_can(self, resource: str, scope: str | None) -> dict[str, Any]:
        """Every way to *resource*."""
        found = _answered(lambda: who_can(resource, scope, self._registry, self._now))
        return WayList.of(found, self._registry).model_dump(mode="json")

    def what_can(self, name: str) -> dict[str, Any]:
        """Every way of a client, or for a subject."""
        found = _answered(lambda: what_can(name, self._registry, self._now))
        return WayList.of(found, self._registry).model_dump(mode="json")


class Service:
    """The registry that a service has loaded, by its admin API; asked for the time *at*."""

    def __init__(self, api: Api, *, at: datetime | None) -> None:
        self._api = api
        self._at = None if at is None else at.isoformat()

    def can_i(self, **asked: Any) -> dict[str, Any]:
        """As of the files."""
        scope, token_scope = asked["scope"], asked["token_scope"]
        question = {
            "at": self._at,
            "client": asked["client"],
            "hops": list(asked["before"]),
            "subject": f"{asked['alias']}{SEPARATOR}{asked['subject']}",
            "agent": asked["agent"],
            "mcp_scope": sorted(token_scope) or None,
            "claims": {name: sorted(values) for name, values in asked["claims"].items()},
            "resource": asked["resource"],
            "scope": None if scope is None else sorted(scope),
        }
        return self._api.ask("/can-i", question)

    def who_can(self, resource: str, scope: str | None) -> dict[str, Any]:
        """As of the files."""
        return self._api.get("/who-can", at=self._at, resource=resource, scope=scope)

    def what_can(self, name: str) -> dict[str, Any]:
        """As of the files."""
        kind = "subject" if SEPARATOR in name else "client"
        return self._api.get("/what-can", at=self._at, **{kind: name})


def _answered(ask: Callable[[], A]) -> A:
    try:
        return ask()
    except Unaskable as error:
        raise click.UsageError(printable(f"{error}.")) from None


@contextmanager
def answering(
    *,
    api: str | None,
    token_file: Path | None,
    directory: Path | None,
    issuer: str | None,
    admin_audience: str | None,
    at: datetime | None,
) -> Iterator[Files | Service]:
    """Whoever is asked: what the command line names, and before the files what the environment has.

    Raises `click.UsageError` where it names both, or nothing is named.
    """
    context = click.get_current_context()
    typed = {
        name
        for name in ("api", "directory")
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if len(typed) > 1:
        raise click.UsageError("Name --registry or --api, not both.")
    if api is not None and "directory" not in typed:
        with reached(api, token_file, status=UNANSWERED) as found:
            yield Service(found, at=at)
        return
    if directory is None:
        raise click.UsageError("Name the files, with --registry, or an admin API, with --api.")
    if issuer is None:
        raise click.UsageError("Name the service that the files are for: --issuer.")
    yield Files(directory, issuer=issuer, admin_audience=admin_audience, at=at)
