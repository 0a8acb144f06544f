"""The published JSON Schema describes the files that are loaded."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from delegation.registry.schema import (
    SECTIONS,
    File,
    GrantedEntry,
    KeyEntry,
    PresentableActors,
    RefusedEntry,
    SubjectsEntry,
    TeamName,
    schema,
    schema_text,
)
from tests.registry import story

PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "registry.schema.json"


class _TextLoader(yaml.SafeLoader):
    """Reads a date as text, as editors do."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _complaints(text: str) -> list[str]:
    content = yaml.load(text, Loader=_TextLoader)  # noqa: S506, a SafeLoader
    return [error.message for error in Draft202012Validator(schema()).iter_errors(content)]


def test_the_published_schema_is_the_one_that_holds() -> None:
    """What editors are told is what the loader does. `schema_text` writes the file anew."""
    assert PUBLISHED.read_text("utf-8") == schema_text()


def test_the_schema_is_a_schema() -> None:
    """It is valid by its own standard, and names no place where it would have to be."""
    Draft202012Validator.check_schema(schema())

    assert "$id" not in schema_text()


def test_the_schema_accepts_the_story() -> None:
    """An editor underlines nothing in a file that is right."""
    assert _complaints(story.STORY) == []
    assert _complaints(story.WITH_ACTORS) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("alias: corp", "alias: Corp"),
        ("exchange: true", "exchange: 1"),
        ("    exchange: true\n", ""),
        ("[ES256]", "[HS256]"),
        ("agents: [desk-agent]", "agents: []"),
        ("agents: [desk-agent]", "agents: all"),
        ("lifetime: 300", "lifetime: 901"),
        ("lifetime: 300", "rate_limit: 600 a minute"),
        ("expires: 2027-01-01T00:00:00Z", "expires: 2027-01-01"),
        ("owner: calendar team", "ovner: calendar team"),
        ("calendar-mcp: [events", "cal|mcp: [events"),
        ('"calendar:read"', '"calendar read"'),
        ("grants:\n", "grant:\n"),
        ("claims: {groups: groups}", "service_claims: {name: ['{id}']}"),
        ("grants:\n", "actor_issuers: [{alias: platform}]\ngrants:\n"),
        ("exchange: false", "exchange: false\n    may_present_actors: {client: [calendar-mcp]}"),
        ("exchange: false", "exchange: false\n    may_present_actors: {clients: []}"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    """An editor underlines the common mistakes."""
    assert old in story.STORY

    assert _complaints(story.STORY.replace(old, new, 1))


@pytest.mark.parametrize(
    "model",
    [
        File,
        *SECTIONS.values(),
        GrantedEntry,
        KeyEntry,
        PresentableActors,
        RefusedEntry,
        SubjectsEntry,
        TeamName,
    ],
)
def test_every_key_is_described(model: type[BaseModel]) -> None:
    """Whoever hovers over a key is told what it means."""
    described: dict[str, Any] = schema()["$defs"].get(model.__name__, schema())

    assert all(one["description"] for one in described["properties"].values())
    assert described["description"]
    assert described["additionalProperties"] is False
