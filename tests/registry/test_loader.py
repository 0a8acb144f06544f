"""A directory of files becomes one registry: exactly what is written, and nothing else."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.grants import Agents, Grant, Subjects
from delegation.domain.parties import Client, Identity
from delegation.domain.rates import Rate
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource
from delegation.domain.trust import ActorIssuer, TrustedIssuer
from delegation.registry.loader import MAX_FILE_BYTES, Snapshot, load, snapshot
from delegation.registry.problems import Code, RegistryInvalid
from tests.registry import story


def test_the_story_means_what_it_says() -> None:
    """Every key of an entry arrives at its field of the domain."""
    registry = story.of(story.STORY)

    login = TrustedIssuer(
        issuer="https://login.example.com",
        alias="corp",
        jwks_uri="https://login.example.com/jwks",
        algorithms=frozenset({"ES256"}),
        claims={"groups": "groups"},
    )
    calendar = Resource(
        identifier="https://calendar.example.com/api",
        names=frozenset({"calendar"}),
        scopes=frozenset({"events.read", "events.write"}),
        clients={"calendar-mcp": frozenset({"events.read", "events.write"})},
    )
    grant = Grant(
        id="calendar-for-staff",
        client="calendar-mcp",
        resource="https://calendar.example.com/api",
        subjects=(
            Subjects(
                issuer="https://login.example.com",
                people=frozenset({"alice"}),
                claims={"groups": frozenset({"staff"})},
            ),
        ),
        agents=Agents(registered=frozenset({"desk-agent"})),
        scopes={"calendar:read": frozenset({"events.read"})},
        lifetime=timedelta(seconds=300),
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert registry.issuers == {login.issuer: login}
    assert registry.aliases == {"corp": login}
    assert registry.clients["calendar-mcp"] == Client(
        id="calendar-mcp",
        audience="https://calendar-mcp.example.com/mcp",
        may_exchange=True,
        secrets=(bytes.fromhex(64 * "1"),),
    )
    assert registry.clients["calendar-api"].may_exchange is False
    assert registry.resources["calendar"] == calendar
    assert registry.grants["calendar-mcp", calendar.identifier] == (grant,)
    assert registry.issuer == story.OUR_ISSUER


def test_an_issuer_may_differ_in_every_way() -> None:
    """What an issuer does differently is written, and arrives."""
    text = """
issuers:
  - issuer: https://login.example.com/tenant/v2.0
    alias: entra
    jwks_uri: http://localhost:8000/keys?p=1
    algorithms: [RS256, EdDSA]
    types: [at+jwt, vnd.example.at+jwt]
    legacy_types: true
    id_claim: null
    scope_claim: scp
    scope_format: array
    client_claim: azp
    claims: {roles: "https://example.com/roles"}
    several_audiences: true
    asserts_actors: true
    actor_issuer: https://agents.example.com
    service_claims: {gty: [client-credentials, app], sub: ["{client}@clients"]}
    private_network: true
"""

    [issuer] = story.of(text).issuers.values()

    assert issuer == TrustedIssuer(
        issuer="https://login.example.com/tenant/v2.0",
        alias="entra",
        jwks_uri="http://localhost:8000/keys?p=1",
        algorithms=frozenset({"RS256", "EdDSA"}),
        types=frozenset({"at+jwt", "vnd.example.at+jwt"}),
        legacy_types=True,
        id_claim=None,
        scope_claim="scp",
        scope_is_array=True,
        client_claim="azp",
        claims={"roles": "https://example.com/roles"},
        several_audiences=True,
        asserts_actors=True,
        actor_issuer="https://agents.example.com",
        service_claims={
            "gty": frozenset({"client-credentials", "app"}),
            "sub": frozenset({"{client}@clients"}),
        },
        private_network=True,
    )


def test_an_actor_issuer_is_no_trusted_issuer() -> None:
    """It stands in a list of its own, with what it does differently."""
    plain = story.of(story.WITH_ACTORS)
    other = story.of("""
actor_issuers:
  - issuer: https://login.example.com
    alias: corp
    jwks_uri: http://localhost:8000/keys
    algorithms: [RS256, EdDSA]
    types: [at+jwt, vnd.example.at+jwt]
    legacy_types: true
    assertion_types: [jwt, wimse-id+jwt]
    id_claim: null
    client_claim: azp
    private_network: true
""")

    platform = ActorIssuer(
        issuer="https://workloads.example.com",
        alias="platform",
        jwks_uri="https://workloads.example.com/jwks",
        algorithms=frozenset({"ES256"}),
    )
    assert plain.actor_issuers == {platform.issuer: platform}
    assert plain.issuers == story.of(story.STORY).issuers
    assert plain.aliases.keys() == {"corp"}
    assert other.issuers == {}
    assert [*other.actor_issuers.values()] == [
        ActorIssuer(
            issuer="https://login.example.com",
            alias="corp",
            jwks_uri="http://localhost:8000/keys",
            algorithms=frozenset({"RS256", "EdDSA"}),
            types=frozenset({"at+jwt", "vnd.example.at+jwt"}),
            legacy_types=True,
            assertion_types=frozenset({"jwt", "wimse-id+jwt"}),
            id_claim=None,
            client_claim="azp",
            private_network=True,
        )
    ]


@pytest.mark.standard("8693-A-1")
def test_an_issuer_may_be_trusted_in_both() -> None:
    """Under the same alias or another: each list has its own."""
    both = story.ACTOR_ISSUERS.replace("workloads.", "login.").replace("platform", "corp")

    registry = story.of(both + story.STORY)

    assert registry.issuers.keys() == registry.actor_issuers.keys() == {"https://login.example.com"}


@pytest.mark.standard("8693-A-2")
def test_a_client_may_show_those_that_its_entry_lists() -> None:
    """Other clients are identities of ours, workloads of their platform; nobody, where none is."""
    clients = story.of(story.WITH_ACTORS).clients

    assert clients["calendar-mcp"].may_present_actors == {
        Identity(story.OUR_ISSUER, "calendar-api"),
        Identity("https://workloads.example.com", "planner"),
        Identity("https://workloads.example.com", "spiffe://example.com/planner"),
    }
    assert clients["calendar-api"].may_present_actors == frozenset()


@pytest.mark.standard("8693-A-2")
def test_who_may_introspect() -> None:
    """Nobody is an auditor, and no API asks each time, unless that is written."""
    silent = story.of(story.STORY)
    rooms = "    scopes: [rooms.read]\n"
    spoken = story.of(
        story.STORY.replace("exchange: false\n", "exchange: false\n    auditor: true\n").replace(
            rooms, rooms + "    introspects: true\n"
        )
    )

    assert not any(client.is_auditor for client in silent.clients.values())
    assert not any(resource.introspects for resource in silent.resources.values())
    assert {one.id for one in spoken.clients.values() if one.is_auditor} == {"calendar-api"}
    introspecting = {one.identifier for one in spoken.resources.values() if one.introspects}
    assert introspecting == {"https://rooms.example.com/api"}


@pytest.mark.parametrize(
    "shown", ["{}", "{clients: [calendar-api]}", "{workloads: {platform: [planner]}}"]
)
def test_a_client_shows_no_more_than_is_written(shown: str) -> None:
    """A key that is left out, or an empty mapping, means nobody."""
    whole = story.of(story.WITH_ACTORS).clients["calendar-mcp"].may_present_actors
    start, _, rest = story.WITH_ACTORS.partition("    may_present_actors:\n")
    after = rest[rest.index("  - id: calendar-api") :]

    less = story.of(f"{start}    may_present_actors: {shown}\n{after}").clients["calendar-mcp"]

    assert less.may_present_actors < whole
    assert len(less.may_present_actors) == int(shown != "{}")


def test_a_grant_may_differ_in_every_way() -> None:
    """What widens a grant is written, and arrives."""
    text = story.STORY.replace("agents: [desk-agent]", "agents: any").replace(
        "expires: 2027-01-01T00:00:00Z",
        "expires: never\n    chain_limit: 8\n    services: true\n    cycles: true\n"
        "    downscope: true\n    single_use: true\n    rate_limit: 5000/day; 10/second",
    )
    text = text.replace(
        "        people: [alice]\n        claims: {groups: [staff]}\n", "        everyone: true\n"
    )

    [[grant]] = story.of(text).grants.values()

    assert grant.agents == Agents(any=True)
    assert grant.subjects == (Subjects(issuer="https://login.example.com", everyone=True),)
    assert grant.expires_at is None
    assert grant.chain_limit == 8
    assert (grant.services, grant.cycles, grant.downscope, grant.single_use) == (True,) * 4
    assert grant.rates == (Rate(10, 1), Rate(5000, 86_400))


def test_an_expiry_may_have_an_offset() -> None:
    """A time with an offset is that instant."""
    [[grant]] = story.of(story.STORY.replace("00:00:00Z", "01:00:00+01:00")).grants.values()

    assert grant.expires_at == datetime(2027, 1, 1, tzinfo=UTC)


def test_no_directory_permits_nothing(tmp_path: Path) -> None:
    """Missing and empty are the same: a registry without entries."""
    missing = load(tmp_path / "missing", issuer=story.OUR_ISSUER)
    empty = load(tmp_path, issuer=story.OUR_ISSUER)

    assert missing == empty == Registry.of(issuer=story.OUR_ISSUER, revision=empty.revision)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "grants: []\n"])
def test_a_file_may_say_nothing(text: str) -> None:
    """A file without entries is right, and permits nothing."""
    assert story.of(text).grants == {}


def test_files_make_one_registry_wherever_they_are(tmp_path: Path) -> None:
    """The entries of a team may be in a folder of their own, and refer to those of others."""
    platform, team = story.STORY.split("grants:\n")
    story.write(tmp_path, platform=platform, teams__calendar="grants:\n" + team)
    (tmp_path / "teams" / "more.yml").write_text("clients: []\n")

    registry = load(tmp_path, issuer=story.OUR_ISSUER)

    whole = story.of(story.STORY)
    assert registry == replace(whole, revision=registry.revision)
    assert [name for name, _ in snapshot(tmp_path).files] == [
        "platform.yaml",
        "teams/calendar.yaml",
        "teams/more.yml",
    ]


def test_hidden_files_and_other_endings_are_left_out(tmp_path: Path) -> None:
    """Editors' backups and read-me files are no registry."""
    story.write(tmp_path, __git__a="[", a="{}").joinpath("README.md").write_text("[")
    (tmp_path / ".a.yaml.swp.yaml").write_text("[")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.yaml").write_text("[")
    (tmp_path / "a.yaml~").write_text("[")

    assert [name for name, _ in snapshot(tmp_path / "").files if name[0] != "/"] == ["a.yaml"]


def test_a_swapped_link_changes_the_revision(tmp_path: Path) -> None:
    """A registry is put in place by swapping a link, as containers' mounts do."""
    old = story.write(tmp_path / "..1", a="{}")
    new = story.write(tmp_path / "..2", a=story.STORY)
    (tmp_path / "registry").symlink_to(old)
    before = load(tmp_path / "registry", issuer=story.OUR_ISSUER)

    (tmp_path / "next").symlink_to(new)
    (tmp_path / "next").rename(tmp_path / "registry")
    after = load(tmp_path / "registry", issuer=story.OUR_ISSUER)

    assert before.grants == {}
    assert len(after.grants) == 1
    assert before.revision != after.revision == snapshot(new).revision


def test_links_within_the_directory_are_followed(tmp_path: Path) -> None:
    """A mounted volume has links to the files of a hidden folder; a team's folder may be one."""
    story.write(tmp_path / "..data", a="{}", b__c="{}")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "b").symlink_to("..data/b")

    assert [name for name, _ in snapshot(tmp_path).files] == ["a.yaml", "b/c.yaml"]


def _problem(directory: Path) -> tuple[str, Code, str]:
    with pytest.raises(RegistryInvalid) as caught:
        load(directory, issuer=story.OUR_ISSUER)
    [problem] = caught.value.problems
    return problem.file, problem.code, problem.message


def test_a_directory_that_is_none_is_a_problem(tmp_path: Path) -> None:
    """It was meant to be one: this is not the same as missing."""
    path = tmp_path / "registry"
    path.write_text("")

    assert _problem(path)[:2] == (".", Code.UNREADABLE)


def test_links_in_a_circle_are_a_problem(tmp_path: Path) -> None:
    """The directory itself, a file, or a folder that holds itself: nothing hangs."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    inner = story.write(tmp_path / "inner", a="{}")
    (inner / "again").symlink_to(inner)
    files = tmp_path / "files"
    files.mkdir()
    (files / "c.yaml").symlink_to("c.yaml")

    assert _problem(tmp_path / "a")[:2] == (".", Code.UNREADABLE)
    assert _problem(inner)[:2] == ("again", Code.UNREADABLE)
    assert _problem(files)[:2] == ("c.yaml", Code.UNREADABLE)


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    """A pipe is not waited for, and a link to nothing is not passed over."""
    pipe, link = tmp_path / "1", tmp_path / "2"
    pipe.mkdir()
    os.mkfifo(pipe / "a.yaml")
    link.mkdir()
    (link / "a.yaml").symlink_to("nothing")

    assert "not a regular file" in _problem(pipe)[2]
    assert "No such file" in _problem(link)[2]


def test_a_huge_file_is_a_problem(tmp_path: Path) -> None:
    """Nothing is read without bound."""
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    assert "larger than 16 MiB" in _problem(tmp_path)[2]


def test_the_revision_tells_contents_names_and_their_order_apart(tmp_path: Path) -> None:
    """Equal files have one revision, wherever they are; any difference makes another."""
    directories = [
        story.write(tmp_path / "1", a="{}", b="# b"),
        story.write(tmp_path / "2", a="{}", c="# b"),
        story.write(tmp_path / "3", a="{}# b", b=""),
        story.write(tmp_path / "4", a="# b", b="{}"),
        story.write(tmp_path / "5", a="{}", b="# b"),
    ]

    revisions = [load(one, issuer=story.OUR_ISSUER).revision for one in directories]

    assert len(set(revisions)) == 4
    assert revisions[0] == revisions[4]
    assert all(len(revision) == 64 for revision in revisions)


def test_a_thousand_grants_are_no_trouble() -> None:
    """A whole company fits."""
    head, grant = story.STORY.split("grants:\n")
    grants = "".join(grant.replace("calendar-for-staff", f"grant-{n}") for n in range(1000))

    registry = story.of(head + "grants:\n" + grants)

    [thousand] = registry.grants.values()
    assert len(thousand) == 1000


@given(st.binary(max_size=400))
def test_any_bytes_are_a_registry_or_a_list_of_problems(content: bytes) -> None:
    """Nothing but `RegistryInvalid` ever comes of a file."""
    try:
        story.of(content)
    except RegistryInvalid as invalid:
        assert invalid.problems  # noqa: PT017, either outcome is right


@given(
    st.integers(0, len(story.STORY) - 1),
    st.integers(0, 60),
    st.text(st.sampled_from("[]{}:,-#&*!|>'\"%@`\n\t ~?a1\\\0\ufeff\u2028é"), max_size=8),
)
def test_any_edit_is_a_registry_or_a_list_of_problems(at: int, length: int, by: str) -> None:
    """Neither does anything else come of a file that somebody is typing in."""
    edited = story.STORY[:at] + by + story.STORY[at + length :]

    try:
        story.of(edited)
    except RegistryInvalid as invalid:
        assert invalid.problems  # noqa: PT017, either outcome is right


@given(st.lists(st.tuples(st.binary().map(os.fsdecode), st.binary())))
def test_a_snapshot_in_a_parcel(files: list[tuple[str, bytes]]) -> None:
    """What is unpacked is what was packed, whatever the files are called and hold."""
    packed = Snapshot(tuple(files)).packed()

    assert Snapshot.unpacked(packed) == Snapshot(tuple(files))
