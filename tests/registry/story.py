"""The calendar story as the text of a registry, and ways to write and load one."""

from pathlib import Path
from typing import Any

import yaml

from delegation.domain.registry import Registry
from delegation.registry.documents import read
from delegation.registry.entries import Entries, collect
from delegation.registry.loader import Snapshot, parse

OUR_ISSUER = "https://sts.example.com"

STORY = """\
issuers:
  - issuer: https://login.example.com
    alias: corp
    jwks_uri: https://login.example.com/jwks
    algorithms: [ES256]
    claims: {groups: groups}
clients:
  - id: calendar-mcp
    audience: https://calendar-mcp.example.com/mcp
    secrets: ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]
    exchange: true
  - id: calendar-api
    audience: https://calendar.example.com/api
    exchange: false
resources:
  - identifier: https://calendar.example.com/api
    names: [calendar]
    scopes: [events.read, events.write]
    clients:
      calendar-mcp: [events.read, events.write]
  - identifier: https://rooms.example.com/api
    scopes: [rooms.read]
    clients: {calendar-api: [rooms.read]}
grants:
  - id: calendar-for-staff
    owner: calendar team
    description: The assistant reads calendars.
    client: calendar-mcp
    subjects:
      - issuer: corp
        people: [alice]
        claims: {groups: [staff]}
    agents: [desk-agent]
    resource: https://calendar.example.com/api
    scopes: {"calendar:read": [events.read]}
    lifetime: 300
    expires: 2027-01-01T00:00:00Z
"""

ACTOR_ISSUERS = """\
actor_issuers:
  - issuer: https://workloads.example.com
    alias: platform
    jwks_uri: https://workloads.example.com/jwks
    algorithms: [ES256]
"""

WITH_ACTORS = ACTOR_ISSUERS + STORY.replace(
    "    exchange: true\n",
    """\
    exchange: true
    may_present_actors:
      clients: [calendar-api]
      workloads: {platform: [planner, "spiffe://example.com/planner"]}
""",
)
"""The story where *calendar-mcp* may show the tokens of another client and of two workloads."""

TEAMS = """\
teams:
  - id: desk
    owner: desk team
    clients: [calendar-mcp]
    subjects:
      - {issuer: corp, claims: {groups: [staff]}}
  - id: guests
    subjects: [{issuer: corp, people: [bob]}]
grants:
  - id: desk-writes
    mode: shadow
    client: {team: desk}
    subjects: [{team: desk}, {issuer: corp, people: [alice]}]
    agents: any
    resource: https://calendar.example.com/api
    scopes: {"calendar:write": [events.write]}
    expires: never
  - id: no-writing
    effect: deny
    client: {team: desk}
    subjects: [{team: guests}]
    agents: any
    resource: https://calendar.example.com/api
    scopes: [events.write]
    expires: 2027-01-01T00:00:00Z
tests:
  - name: staff may read
    client: calendar-mcp
    subject: corp|alice
    agent: desk-agent
    mcp_scope: ["calendar:read"]
    claims: {groups: [staff]}
    resource: calendar
    expect: {granted: [events.read]}
  - name: calendars lead to no rooms
    client: calendar-api
    hops: [calendar-mcp]
    subject: corp|alice
    agent: desk-agent
    resource: https://rooms.example.com/api
    scope: [rooms.read]
    at: 2026-12-01T00:00:00Z
    expect: {refused: no_grant}
"""
"""A second file of the story: teams, a grant in shadow, a deny, and tests."""


def of(*files: str | bytes, issuer: str = OUR_ISSUER) -> Registry:
    """The registry of these files, which are called `0.yaml`, `1.yaml` and so on."""
    contents = [file.encode() if isinstance(file, str) else file for file in files]
    named = tuple((f"{number}.yaml", content) for number, content in enumerate(contents))
    return parse(Snapshot(named), issuer=issuer)


def entries(*files: str) -> Entries:
    """The entries of these files, which are right in themselves."""
    found = Entries()
    for number, text in enumerate(files):
        of_this_file, problems = collect(read(f"{number}.yaml", text.encode()))
        assert not problems
        found.add(of_this_file)
    return found


class _Dumper(yaml.SafeDumper):
    """Writes all text in quotes, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002, as the base class has it
        """Everything is written out."""
        return True


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def as_yaml(content: Any) -> str:
    """Any value as YAML, by the library's own writer."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def write(directory: Path, **files: str) -> Path:
    """Put files into *directory*; `a__b` is called `a/b.yaml`."""
    for name, content in files.items():
        path = directory / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return directory
