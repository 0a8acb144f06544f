"""Denies, shadows, teams and tests, as they are written: what they mean, and every mistake."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from delegation.domain.errors import Cause
from delegation.domain.grants import Agents, Deny, Grant, Mode, Subjects
from delegation.domain.questions import Expectation, Question, can_i
from delegation.domain.registry import Registry
from delegation.registry.build import expectations, members
from delegation.registry.problems import Code, RegistryInvalid
from delegation.registry.schema import ONLY_TO_ALLOW, GrantEntry, schema
from tests.registry import story

LOGIN = "https://login.example.com"
CALENDAR = "https://calendar.example.com/api"
PLACE = ("calendar-mcp", CALENDAR)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def of(teams: str = story.TEAMS) -> Registry:
    """The story with its second file."""
    return story.of(story.STORY, teams)


def test_a_grant_in_shadow_and_a_deny_mean_what_they_say() -> None:
    """Every key arrives at its field, and every team at all that it has."""
    registry = of()

    assert registry.shadows == {
        PLACE: (
            Grant(
                id="desk-writes",
                client="calendar-mcp",
                resource=CALENDAR,
                subjects=(
                    Subjects(issuer=LOGIN, claims={"groups": frozenset({"staff"})}),
                    Subjects(issuer=LOGIN, people=frozenset({"alice"})),
                ),
                agents=Agents(any=True),
                scopes={"calendar:write": frozenset({"events.write"})},
                mode=Mode.SHADOW,
            ),
        )
    }
    assert registry.denies == {
        PLACE: (
            Deny(
                id="no-writing",
                client="calendar-mcp",
                resource=CALENDAR,
                subjects=(Subjects(issuer=LOGIN, people=frozenset({"bob"})),),
                agents=Agents(any=True),
                scopes=frozenset({"events.write"}),
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            ),
        )
    }
    assert registry.grants == story.of(story.STORY).grants


def test_a_deny_of_any_scope_is_of_all() -> None:
    """Which is written, and also what may be added to the resource later."""
    registry = of(story.TEAMS.replace("scopes: [events.write]", "scopes: any"))

    [[deny]] = registry.denies.values()

    assert deny.scopes is None


def test_what_is_enforced_is_what_is_not_in_shadow() -> None:
    """To enforce is the default, and may be written."""
    texts = [
        story.TEAMS.replace("    mode: shadow\n", "    mode: enforce\n"),
        story.TEAMS.replace("    mode: shadow\n", "    effect: allow\n"),
    ]

    for registry in map(of, texts):
        assert [grant.id for grant in registry.grants[PLACE]] == [
            "calendar-for-staff",
            "desk-writes",
        ]
        assert registry.shadows == {}


TEAM_OF_TWO = story.TEAMS.replace(
    "clients: [calendar-mcp]", "clients: [calendar-mcp, calendar-api, calendar-mcp]"
)


def test_a_team_of_several_clients_is_one_grant_for_each() -> None:
    """With one id, by which events and locks name them all; none is there twice."""
    text = TEAM_OF_TWO.replace("effect: deny", "effect: deny\n    mode: shadow")
    admitted = story.STORY.replace(
        "    clients:\n      calendar-mcp:",
        "    clients:\n      other: [events.write]\n      calendar-mcp:",
    )
    other = "clients:\n  - {id: other, audience: other, exchange: true}\n" + text.replace(
        "calendar-api, calendar-mcp]", "other, calendar-mcp]"
    )

    registry = story.of(admitted, other)

    ids = [(client, one.id) for (client, _), some in registry.shadows.items() for one in some]
    assert sorted(ids) == [
        ("calendar-mcp", "desk-writes"),
        ("calendar-mcp", "no-writing"),
        ("other", "desk-writes"),
        ("other", "no-writing"),
    ]


def test_a_deny_may_be_of_a_client_that_is_not_admitted() -> None:
    """It may be admitted some day."""
    text = story.TEAMS.replace("client: {team: desk}\n    subjects: [{team: g", "client: C\n    s")
    text = text.replace(
        "client: C\n    suests", "client: calendar-api\n    subjects: [{team: guests"
    )

    assert of(text).denies.keys() == {("calendar-api", CALENDAR)}


def test_members_are_those_of_the_teams_that_a_grant_names() -> None:
    """For all who look at files, not at what is decided."""
    entries = story.entries(story.TEAMS)
    teams = {team.entry.id: team.entry for team in entries.teams}

    clients, subjects = members(entries.grants[0].entry, teams)

    assert clients == ["calendar-mcp"]
    assert [one.people for one in subjects] == [[], ["alice"]]


PEOPLE = st.sampled_from(
    [
        {"issuer": "corp", "people": ["alice"]},
        {"issuer": "corp", "claims": {"groups": ["staff", "board"]}},
        {"issuer": "corp", "everyone": True},
    ]
)
IDS = ("a", "b")
TEAM_ENTRIES = st.fixed_dictionaries({id_: st.lists(PEOPLE, min_size=1, max_size=2) for id_ in IDS})
EFFECTS = st.sampled_from(
    [{"scopes": {"x": ["events.read"]}}, {"effect": "deny", "scopes": ["events.read"]}]
)


@given(
    TEAM_ENTRIES,
    st.lists(PEOPLE | st.sampled_from([{"team": id_} for id_ in IDS]), min_size=1, max_size=3),
    EFFECTS,
    st.sampled_from(["enforce", "shadow"]),
)
def test_a_team_is_what_it_has_written_out(
    teams: dict[str, Any], subjects: list[Any], effect: dict[str, Any], mode: str
) -> None:
    """Neither more nor less: in the place of a client, and of subjects."""
    grant = {"id": "g", "agents": "any", "resource": CALENDAR, "expires": "never", "mode": mode}
    named = [
        {"id": id_, "clients": ["calendar-mcp"], "subjects": people}
        for id_, people in teams.items()
    ]
    written = [one for each in subjects for one in teams.get(each.get("team", ""), [each])]

    by_team = {**grant, **effect, "client": {"team": "a"}, "subjects": subjects}
    by_name = {**grant, **effect, "client": "calendar-mcp", "subjects": written}

    first = of(story.as_yaml({"teams": named, "grants": [by_team]}))
    second = of(story.as_yaml({"grants": [by_name]}))
    assert (first.grants, first.denies, first.shadows) == (
        second.grants,
        second.denies,
        second.shadows,
    )


def test_a_test_is_a_question_and_its_answer() -> None:
    """In the words of `can-i`; what says no time is asked now."""
    found = expectations(story.entries(story.STORY, story.TEAMS), now=NOW)

    assert found == [
        Expectation(
            name="staff may read",
            place="1.yaml:27",
            question=Question(
                client="calendar-mcp",
                alias="corp",
                subject="alice",
                agent="desk-agent",
                token_scope=frozenset({"calendar:read"}),
                claims={"groups": frozenset({"staff"})},
                resource="calendar",
                now=NOW,
            ),
            granted=True,
            scope=frozenset({"events.read"}),
        ),
        Expectation(
            name="calendars lead to no rooms",
            place="1.yaml:35",
            question=Question(
                client="calendar-api",
                before=("calendar-mcp",),
                alias="corp",
                subject="alice",
                agent="desk-agent",
                resource="https://rooms.example.com/api",
                scope=frozenset({"rooms.read"}),
                now=datetime(2026, 12, 1, tzinfo=UTC),
            ),
            granted=False,
            cause=Cause.NO_GRANT,
        ),
    ]
    assert [one.is_met_by(can_i(one.question, of())) for one in found] == [True, True]


@pytest.mark.parametrize("word", ["granted", "refused"])
def test_an_answer_can_be_a_word(word: str) -> None:
    """Then the scope, or the cause, is left open."""
    text = story.TEAMS.replace("{refused: no_grant}", word)

    *_, last = expectations(story.entries(text), now=NOW)

    assert (last.granted, last.scope, last.cause) == (word == "granted", None, None)


def test_tests_decide_nothing_and_are_part_of_the_revision() -> None:
    """As every word of every file is."""
    without = story.TEAMS.split("tests:\n")[0]

    first, second = of(), of(without)

    assert first.revision != second.revision
    assert first.grants == second.grants


class Row(NamedTuple):
    """One mistake: *old* text, replaced by *new*, is *code* at *line*, and said so."""

    name: str
    old: str
    new: str
    code: Code
    line: int
    message: str


DENY = "    effect: deny\n"
WRITING = "    scopes: [events.write]\n"
LAST = "    expect: {refused: no_grant}\n"
CLIENT_TEAM = "    client: {team: desk}\n"
TO_ALL = '{"calendar:write": [events.write]}'

ROWS = [
    Row("effect", DENY, "    effect: forbid\n", Code.WRONG_VALUE, 19, "must be 'allow' or 'deny'"),
    Row("no-effect", DENY, "", Code.WRONG_TYPE, 23, "`scopes` must be a mapping: each scope of"),
    Row("effect-map", DENY, "    effect: {}\n", Code.WRONG_VALUE, 19, "'allow' or 'deny'"),
    Row("mode", "mode: shadow", "mode: off-line", Code.WRONG_VALUE, 11, "'enforce' or 'shadow'"),
    Row("dry", "mode: shadow", "mode: dry", Code.WRONG_VALUE, 11, "Whether it counts."),
    Row(
        "deny-map",
        WRITING,
        f"    scopes: {TO_ALL}\n",
        Code.WRONG_TYPE,
        24,
        "`scopes` of a deny must be a list of scopes of the resource, or `any`: what stands for",
    ),
    Row("allow-list", TO_ALL, "[events.write]", Code.WRONG_TYPE, 16, "only a grant with `effect:"),
    Row("allow-any", TO_ALL, "any", Code.WRONG_TYPE, 16, "has a list, or `any`"),
    Row("all", WRITING, "    scopes: all\n", Code.WRONG_VALUE, 24, "`scopes` must be a mapping"),
    Row("none", WRITING, "    scopes: []\n", Code.EMPTY_VALUE, 24, "`scopes` is empty: write"),
    Row("number", WRITING, "    scopes: 5\n", Code.WRONG_TYPE, 24, "`scopes` must be a mapping"),
    Row("no-scopes", WRITING, "", Code.MISSING_KEY, 18, "`scopes` is missing. Each scope of the"),
    Row(
        "case",
        WRITING,
        "    scopes: [events.read, Events.write]\n",
        Code.UNKNOWN_SCOPE,
        24,
        "`Events.write` is not among the scopes of the resource; did you mean `events.write`?",
    ),
    Row(
        "ambiguous",
        WRITING,
        "    scopes: [yes]\n",
        Code.AMBIGUOUS_VALUE,
        24,
        "`yes` is not the same",
    ),
    Row(
        "another-name",
        DENY + CLIENT_TEAM + "    subjects: [{team: guests}]\n    agents: any\n    resource: https",
        DENY + CLIENT_TEAM + "    subjects: [{team: guests}]\n    agents: any\n    resource: HTTPS",
        Code.WRONG_VALUE,
        23,
        "`resource` must be an https URI",
    ),
    *(
        Row(key, DENY, f"{DENY}    {key}: {value}\n", Code.CONTRADICTION, 20, "not for a deny, wh")
        for key, value in {
            "lifetime": "60",
            "chain_limit": "2",
            "services": "true",
            "cycles": "false",
            "downscope": "false",
            "single_use": "false",
            "rate_limit": "600/minute",
        }.items()
    ),
    Row(
        "no-team",
        CLIENT_TEAM,
        "    client: {team: dusk}\n",
        Code.UNKNOWN_REFERENCE,
        12,
        "there is no `dusk` among the teams; did you mean `desk`?",
    ),
    Row(
        "no-people",
        "[{team: guests}]",
        "[{team: guest}]",
        Code.UNKNOWN_REFERENCE,
        21,
        "there is no `guest` among the teams",
    ),
    Row(
        "clientless",
        CLIENT_TEAM,
        "    client: {team: guests}\n",
        Code.EMPTY_TEAM,
        12,
        "the team at 1.yaml:7 has no `clients`: add them there",
    ),
    Row(
        "peopleless",
        "    subjects:\n      - {issuer: corp, claims: {groups: [staff]}}\n",
        "",
        Code.EMPTY_TEAM,
        11,
        "the team at 1.yaml:2 has no `subjects`: add them there",
    ),
    Row(
        "nobody",
        "tests:\n",
        "  - id: x\n    client: calendar-mcp\ntests:\n",
        Code.MISSING_KEY,
        26,
        "",
    ),
    Row(
        "empty-team",
        "grants:\n",
        "  - id: nobody\ngrants:\n",
        Code.EMPTY_TEAM,
        9,
        "a team of nobody: add `clients` or `subjects`, or remove it",
    ),
    Row("no-list", "[calendar-mcp]\n", "[]\n", Code.EMPTY_VALUE, 4, "`clients` is empty: write"),
    Row("team-client", "[calendar-mcp]\n", "[x]\n", Code.UNKNOWN_REFERENCE, 4, "no `x` among the"),
    Row("team-issuer", "issuer: corp, c", "issuer: crop, c", Code.UNKNOWN_REFERENCE, 6, "`corp`?"),
    Row(
        "team-claim", "{groups: [staff]}", "{role: [x]}", Code.UNKNOWN_CLAIM, 6, "`role` is not am"
    ),
    Row(
        "team-all", "people: [bob]", "people: [bob], everyone: true", Code.CONTRADICTION, 8, "remo"
    ),
    Row("team-none", ", people: [bob]", "", Code.NO_SUBJECTS, 8, "nobody is meant: add `people`"),
    Row("two-teams", "- id: guests", "- id: desk", Code.DUPLICATE_ID, 7, "already at 1.yaml:2"),
    Row("team-id", "- id: guests", "- id: a b", Code.WRONG_VALUE, 7, "`id` must be 1 to 128 of"),
    Row(
        "not-admitted",
        "[calendar-mcp]\n",
        "[calendar-api, calendar-mcp]\n",
        Code.NOT_ADMITTED,
        15,
        "does not admit `calendar-api`: add it there",
    ),
    Row(
        "team-and-more",
        "[{team: guests}]",
        "[{team: guests, people: [carol]}]",
        Code.UNKNOWN_KEY,
        21,
        "`people` is no key here: there is only `team`",
    ),
    Row("tea", "[{team: guests}]", "[{tea: guests}]", Code.UNKNOWN_KEY, 21, "no key here"),
    Row("text", "[{team: guests}]", "[guests]", Code.WRONG_TYPE, 21, "an entry of `subjects` must"),
    Row("team-text", CLIENT_TEAM, "    client: {team: 5}\n", Code.WRONG_TYPE, 12, "`team` must be"),
    Row("clients", CLIENT_TEAM, "    client: [a]\n", Code.WRONG_TYPE, 12, "`client` must be text"),
    Row("bar", CLIENT_TEAM, "    client: a|b\n", Code.WRONG_VALUE, 12, "`client` must be 1 to 255"),
    Row("two-tests", "calendars lead to no rooms", "staff may read", Code.DUPLICATE_ID, 35, ":27"),
    Row("nameless", "  - name: staff may read\n    c", "  - c", Code.MISSING_KEY, 27, "`name` is"),
    Row("asker", "  client: calendar-api", "  client: x", Code.UNKNOWN_REFERENCE, 36, "no `x`"),
    Row(
        "hop",
        "[calendar-mcp]\n    subject: c",
        "[x]\n    subject: c",
        Code.UNKNOWN_REFERENCE,
        37,
        "",
    ),
    Row(
        "whom",
        "corp|alice\n    agent: desk-agent\n    res",
        "c|a\n    agent: desk-agent\n    res",
        Code.UNKNOWN_REFERENCE,
        38,
        "no `c` among the issuers",
    ),
    Row(
        "sub",
        "subject: corp|alice\n    agent: desk-agent\n    m",
        "subject: alice\n    agent: d\n    m",
        Code.WRONG_VALUE,
        29,
        "must be `<alias>|<sub>`: the alias",
    ),
    Row("asked", "scope: [rooms.read]", "scope: rooms.read", Code.WRONG_TYPE, 41, "must be a list"),
    Row(
        "said",
        "claims: {groups: [staff]}\n    resource",
        "claims: {group: [staff]}\n    resource",
        Code.UNKNOWN_CLAIM,
        32,
        "did you mean `groups`?",
    ),
    Row("at", "2026-12-01T00:00:00Z", "2026-12-01T00:00:00", Code.NO_TIME_ZONE, 42, "`at` must be"),
    Row("never", "2026-12-01T00:00:00Z", "never", Code.WRONG_VALUE, 42, "must be a date and time"),
    Row("date", "2026-12-01T00:00:00Z", "2026-13-01T00:00:00Z", Code.WRONG_VALUE, 42, "a date"),
    Row("maybe", LAST, "    expect: maybe\n", Code.WRONG_VALUE, 43, "'granted' or 'refused'"),
    Row("nothing", LAST, "    expect: {}\n", Code.MISSING_KEY, 43, "`granted` is missing. All"),
    Row("none-given", LAST, "    expect: {granted: []}\n", Code.EMPTY_VALUE, 43, "is empty"),
    Row("cause", LAST, "    expect: {refused: nogrant}\n", Code.WRONG_VALUE, 43, "`no_grant` or"),
    Row(
        "both",
        LAST,
        "    expect: {refused: no_grant, granted: [a]}\n",
        Code.UNKNOWN_KEY,
        43,
        "`granted` is no key here: there is only `refused`",
    ),
    Row("no-expect", LAST, "", Code.MISSING_KEY, 35, "`expect` is missing. The answer: `granted`"),
    Row("hops", "hops: [calendar-mcp]", "hop: [calendar-mcp]", Code.UNKNOWN_KEY, 37, "`hops`?"),
]

FOLLOWING = {"nobody": 4, "two-teams": 1, "team-id": 1, "tea": 1}
"""How many problems follow from a mistake."""


@pytest.mark.standard("8693-5-1")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_mistake_is_found_at_its_line(row: Row) -> None:
    """One mistake in a file that was right is reported, with its code, line and remedy."""
    assert row.old in story.TEAMS

    with pytest.raises(RegistryInvalid) as caught:
        of(story.TEAMS.replace(row.old, row.new, 1))

    problems = caught.value.problems
    found = [one for one in problems if (one.code, one.line) == (row.code, row.line)]
    assert found, str(caught.value)
    assert len(problems) == 1 + FOLLOWING.get(row.name, 0), str(caught.value)
    assert row.message in found[0].message


@pytest.mark.standard("8693-5-1")
def test_a_deny_that_loses_its_effect_gives_nothing() -> None:
    """The scopes of what gives are written in another way: so nothing is given by mistake."""
    for key in ("effect: deny", "effect: deny # x"):
        with pytest.raises(RegistryInvalid):
            of(story.TEAMS.replace(DENY, f"    # {key}\n"))


def test_every_key_is_for_a_deny_or_for_giving() -> None:
    """A new key of a grant is for both, or is refused with a deny."""
    common = {"owner", "description", "id", "effect", "mode", "client", "subjects", "agents"}

    assert common | {"resource", "scopes", "expires"} == (
        GrantEntry.model_fields.keys() - {*ONLY_TO_ALLOW}
    )


class _TextLoader(yaml.SafeLoader):
    """Reads a date as text, as editors do."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_TOGETHER = {
    Code.UNKNOWN_REFERENCE,
    Code.UNKNOWN_SCOPE,
    Code.UNKNOWN_CLAIM,
    Code.DUPLICATE_ID,
    Code.EMPTY_TEAM,
    Code.NOT_ADMITTED,
    Code.NO_SUBJECTS,
    Code.AMBIGUOUS_VALUE,
}
"""What a schema cannot say."""


def _complaints(text: str) -> list[str]:
    content = yaml.load(text, Loader=_TextLoader)  # noqa: S506, a SafeLoader
    return [error.message for error in Draft202012Validator(schema()).iter_errors(content)]


def test_the_schema_accepts_it() -> None:
    """An editor underlines nothing in a file that is right."""
    assert _complaints(story.TEAMS) == []
    assert _complaints(story.TEAMS.replace("scopes: [events.write]", "scopes: any")) == []


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in ROWS
        if row.code not in _TOGETHER and row.name not in {"team-all", "date", "another-name"}
    ],
    ids=lambda row: row.name,
)
def test_the_schema_refuses_what_the_loader_refuses(row: Row) -> None:
    """An editor underlines it, too."""
    assert _complaints(story.TEAMS.replace(row.old, row.new, 1))
