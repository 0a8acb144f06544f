"""Names that must lead somewhere: to an entry, or to a scope that its resource has."""

from collections.abc import Iterable, Iterator

from delegation.registry.entries import E, Entries, Sited, closest
from delegation.registry.problems import Code, Problem
from delegation.registry.schema import ResourceEntry


def unknown(
    sited: Sited[E], section: str, name: str, at: tuple[str | int, ...], *, entries: Entries
) -> Iterator[Problem]:
    """Nothing can be said to be unknown while a file could not be read."""
    known = entries.named[section]
    if entries.whole and name not in known:
        message = f"there is no `{name}` among the {section}{closest(name, known)}"
        yield sited.problem(Code.UNKNOWN_REFERENCE, message, *at)


def outside(
    sited: Sited[E],
    scopes: Iterable[str],
    resource: ResourceEntry,
    at: tuple[str | int, ...],
) -> Iterator[Problem]:
    """Scopes are those of *resource*, character by character."""
    for index, scope in enumerate(scopes):
        if scope not in resource.scopes:
            message = (
                f"`{scope}` is not among the scopes of the resource"
                f"{closest(scope, resource.scopes)}"
            )
            yield sited.problem(Code.UNKNOWN_SCOPE, message, *at, index)
