"""Where the rules of lint end: what looks like a finding, and is none."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from delegation.domain.grants import Subjects
from delegation.registry.lint.catalogue import LintCode, Severity
from delegation.registry.lint.inclusion import may_meet
from delegation.registry.lint.linter import look_at
from delegation.registry.loader import Snapshot
from delegation.registry.problems import Code
from tests.registry import story

CLEAN = (Path(__file__).parent / "corpus" / "clean.yaml").read_text("utf-8")
LOGIN, PARTNER = "https://login.example.com", "https://partner.example.org"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

STAFF = "subjects: [{issuer: corp, claims: {groups: [staff]}}]"
EVERYONE = "subjects: [{issuer: corp, everyone: true}]"
CALENDAR = 'scopes: {"calendar:read": [events.read]}\n    expires: never\n'
ROOMS = "scopes: {events.read: [rooms.read]}\n    expires: never\n"
SECRET = f'    secrets: ["sha256:{64 * "1"}"]\n'

ANOTHER = """
  - id: another
    owner: planning team
    description: Another one.
    client: calendar-mcp
    subjects: [{issuer: corp, claims: {groups: [staff]}}]
    agents: [desk-agent]
    resource: https://calendar.example.com/api
    scopes: {"calendar:read": [events.read]}
    expires: never
"""

DENY = """
  - id: no-contractors
    owner: security
    description: Nothing for contractors.
    effect: deny
    client: calendar-mcp
    subjects: [{issuer: corp, everyone: true}]
    agents: any
    resource: https://calendar.example.com/api
    scopes: any
    expires: never
"""

PLATFORM = """
actor_issuers:
  - issuer: https://workloads.example.com
    alias: platform
    jwks_uri: https://workloads.example.com/jwks
    algorithms: [ES256]
"""

PARTNER = """
  - issuer: https://login.partner.example.net
    alias: partner
    jwks_uri: https://login.partner.example.net/jwks
    algorithms: [ES256]
"""


def codes(text: str) -> set[str]:
    """What is found in one file."""
    files = Snapshot((("a.yaml", text.encode()),))
    return {one.code for one in look_at(files, issuer=story.OUR_ISSUER, now=NOW).findings}


def but(*changes: tuple[str, str], end: str = "") -> str:
    """The clean registry with some changes."""
    text = CLEAN
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text + end


def another(*changes: tuple[str, str], kind: str = ANOTHER) -> str:
    """The clean registry with another grant, which has some changes."""
    text = kind
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return but(end=text)


def test_the_clean_one_is_clean() -> None:
    """What all examples below begin with; and its two companions are not."""
    assert codes(CLEAN) == set()
    assert codes(but(end=ANOTHER)) == {LintCode.DUPLICATE_GRANT}
    assert codes(but(end=DENY)) == {LintCode.ALL_DENIED}


AGENT = "agents: [desk-agent]"

FINE = {
    "thirty days": but(("expires: never", "expires: 2026-12-21T12:00:00Z")),
    "a machine that is meant": but(
        (STAFF, "subjects: [{issuer: corp, people: [desk-agent]}]"),
        (CALENDAR, CALENDAR + "    services: true\n"),
    ),
    "a person with the name of one agent": but(
        (STAFF, "subjects: [{issuer: corp, people: [desk-agent]}]"),
        (AGENT, "agents: [desk-agent, planner]"),
    ),
    "a person with the name of a client before": but(
        (EVERYONE, "subjects: [{issuer: corp, people: [calendar-mcp]}]")
    ),
    "a machine alone in the chain": but(
        (CALENDAR, CALENDAR + "    services: true\n    chain_limit: 1\n")
    ),
    "an agent that may act itself": but(
        (CALENDAR, CALENDAR + "    chain_limit: 1\n"),
        end="\nactor_issuers:\n  - issuer: https://login.example.com\n    alias: platform\n"
        "    jwks_uri: https://login.example.com/jwks\n    algorithms: [ES256]\n",
    ),
    "any agent, alone in the chain": but(
        (AGENT, "agents: any"), (CALENDAR, CALENDAR + "    chain_limit: 1\n")
    ),
    "claims for some who come first-hand": but(
        (
            EVERYONE,
            (
                "subjects: [{issuer: corp, claims: {groups: [staff]}}, "
                "{issuer: corp, people: [alice]}]"
            ),
        )
    ),
    "claims through an agent of another issuer's": but(
        (EVERYONE, "subjects: [{issuer: partner, claims: {tenant: [north]}}]"),
        ("\nclients:", PARTNER + "    claims: {tenant: tid}\n\nclients:"),
    ),
    "a name that is nearly that of a resource which does not admit the agent": but(
        ("audience: https://calendar.example.com/api", "audience: https://calendars.example.com"),
        (
            "\ngrants:",
            (
                "  - identifier: https://calendars.example.com/\n    scopes: [a]\n"
                "    clients: {other: [a]}\n\ngrants:"
            ),
        ),
        (
            "\nresources:",
            (
                "\n  - {id: other, audience: other, exchange: true, jwks_uri: 'https://other.example'}\n"
                "\nresources:"
            ),
        ),
        end=ANOTHER.replace("calendar-mcp", "other")
        .replace("https://calendar.example.com/api", "https://calendars.example.com/")
        .replace("[events.read]", "[a]")
        .replace("expires: never", "expires: 2027-01-01T00:00:00Z"),
    ),
    **{
        f"fewer people, and {key}": another(
            ("[staff]}", "[staff]}, people: [alice]"), (CALENDAR, f"{CALENDAR}    {key}: {value}\n")
        )
        for key, value in {
            "lifetime": 600,
            "chain_limit": 8,
            "services": "true",
            "cycles": "true",
            "downscope": "true",
        }.items()
    },
    "lives longer, and only once": another(
        (CALENDAR, CALENDAR + "    lifetime: 600\n    single_use: true\n")
    ),
    "lives longer, and less often": another(
        (CALENDAR, CALENDAR + "    lifetime: 600\n    rate_limit: 600/minute\n")
    ),
    "for other people": another(("[staff]", "[board]")),
    "for another agent": another(("[desk-agent]", "[planner]")),
    "for any agent, none of whom enters the chain": another(("[desk-agent]", "any")),
    "in shadow": another(("    owner:", "    mode: shadow\n    owner:")),
    "other scopes": another(('"calendar:read"', "everything")),
    "a deny in shadow": another(("    owner:", "    mode: shadow\n    owner:"), kind=DENY),
    "a deny of some people": another(("everyone: true", "people: [alice]"), kind=DENY),
    "a deny of some claims": another(
        ("everyone: true", "claims: {groups: [contractors]}"), kind=DENY
    ),
    "a deny of one agent": another(
        ("any", "[desk-agent, planner]"), ("everyone: true", "people: [alice]"), kind=DENY
    ),
    "a deny of whoever came through an agent once": another(
        ("calendar-mcp", "calendar-api"),
        ("agents: any", "agents: [desk-agent]"),
        ("https://calendar.", "https://rooms."),
        ("everyone: true", "people: [alice]"),
        kind=DENY,
    ),
    "a deny by claims, of whom no grant lets come": another(
        ("calendar-mcp", "calendar-api"),
        ("agents: any", "agents: [desk-agent]"),
        ("https://calendar.", "https://rooms."),
        ("everyone: true", "claims: {groups: [contractors]}"),
        kind=DENY,
    ),
    "keys on a private network": but(
        ("https://login.example.com/jwks", "https://10.0.0.7/jwks\n    private_network: true")
    ),
    "keys at a public address": but(("https://login.example.com/jwks", "https://8.8.8.8/jwks")),
    "a client that is switched off": but(
        ("\nresources:", "\n  - {id: old, audience: old, exchange: false}\n\nresources:")
    ),
    "a client that others show": but(
        (
            "\nresources:",
            (
                "\n  - id: shown\n    audience: shown\n    exchange: true\n"
                f'    secrets: ["sha256:{64 * "3"}"]\n\nresources:'
            ),
        ),
        (
            "    exchange: true\n",
            "    exchange: true\n    may_present_actors: {clients: [shown]}\n",
        ),
    ),
    "a resource that an auditor asks for": but(("    names:", "    introspects: true\n    names:")),
}


@pytest.mark.parametrize("text", FINE.values(), ids=FINE)
def test_what_is_fine_is_not_reported(text: str) -> None:
    """It looks like a finding, and has its effect."""
    assert codes(text) == set()


SOME = {
    "a deny ends before the grant": (
        another(("expires: never", "expires: 2026-12-01T00:00:00Z"), kind=DENY),
        {LintCode.EXPIRES_SOON},
    ),
    "two denies together": (
        but(
            ("calendar-mcp: [events.read]", "calendar-mcp: [events.read, events.write]"),
            ("[events.read]}\n    expires", "[events.read, events.write]}\n    expires"),
            end=DENY.replace("any\n    expires", "[events.read]\n    expires")
            + DENY.replace("any\n    expires", "[events.write]\n    expires").replace(
                "no-", "nor-"
            ),
        ),
        {LintCode.ALL_DENIED},
    ),
    "a deny at another client": (
        another(("calendar-mcp", "calendar-api"), kind=DENY),
        {LintCode.DENIES_NOTHING},
    ),
    "a deny for people of another issuer": (
        but(
            ("\nclients:", PARTNER + "\nclients:"),
            end=DENY.replace("corp, everyone: true", "partner, everyone: true"),
        ),
        {LintCode.DENIES_NOTHING, LintCode.UNUSED_ISSUER},
    ),
    "a deny for other people": (
        but(
            (STAFF, "subjects: [{issuer: corp, people: [alice]}]"),
            end=DENY.replace("everyone: true", "people: [bob]"),
        ),
        {LintCode.DENIES_NOTHING},
    ),
    "a deny for another agent": (
        another(("agents: any", "agents: [planner]"), kind=DENY),
        {LintCode.DENIES_NOTHING},
    ),
    "an agent that may have acted before": (
        but(
            ("    claims: {groups", "    asserts_actors: true\n    claims: {groups"),
            end=DENY.replace("agents: any", "agents: [planner]"),
        ),
        set(),
    ),
    "an agent that may act by a token of its own": (
        PLATFORM
        + but(
            (
                "    exchange: true\n",
                "    exchange: true\n    may_present_actors: {workloads: {platform: [planner]}}\n",
            ),
            end=DENY.replace("agents: any", "agents: [planner]"),
        ),
        set(),
    ),
    "an auditor without credentials": (
        but(
            (
                "\nresources:",
                "\n  - {id: audit, audience: audit, exchange: false, auditor: true}\n\nresources:",
            )
        ),
        {LintCode.NO_CREDENTIALS},
    ),
    "a secret written twice": (
        but((SECRET, SECRET.replace('"]', f'", "sha256:{64 * "1"}"]'))),
        {LintCode.REPEATED_VALUE},
    ),
    "an unknown team": (
        but(("client: calendar-mcp", "client: {team: nobody}")),
        {Code.UNKNOWN_REFERENCE},
    ),
    "a deny with a mapping": (
        but(("    owner: calendar team", "    effect: deny\n    owner: calendar team")),
        {Code.WRONG_TYPE},
    ),
    "a grant with a list": (
        but(('{"calendar:read": [events.read]}', "[events.read]")),
        {Code.WRONG_TYPE},
    ),
}


@pytest.mark.parametrize(("text", "expected"), SOME.values(), ids=SOME)
def test_what_is_reported(text: str, expected: set[str]) -> None:
    """This, and nothing that follows from it."""
    assert codes(text) == expected


def test_nothing_is_missing_where_something_is_wrong() -> None:
    """A deny may be of what cannot be read, and an entry may be used by it."""
    text = another(("calendar-mcp", "calendar-api"), kind=DENY)
    unused = "\n  - {id: idle, audience: idle, exchange: true, jwks_uri: 'https://x.example'}\n"
    text = text.replace("\nresources:", f"{unused}\nresources:")

    assert codes(text) == {LintCode.DENIES_NOTHING, LintCode.UNUSED_CLIENT}
    assert codes(text.replace("[rooms.read, rooms.book]", "[]")) == {Code.EMPTY_VALUE}


def test_no_error_is_a_warning() -> None:
    """What the loader refuses is said once."""
    found = look_at(
        Snapshot((("a.yaml", but((STAFF, "subjects: []")).encode()),)),
        issuer=story.OUR_ISSUER,
        now=NOW,
    ).findings

    assert [(one.severity, one.code) for one in found] == [(Severity.ERROR, Code.EMPTY_VALUE)]


OWNERLESS = but(("    owner: calendar team\n", ""))
ABOVE = "  - id: calendar-for-staff\n"


def ignoring(comment: str, above: str = ABOVE, text: str = OWNERLESS) -> set[str]:
    """What is found with a comment above a line."""
    assert above in text
    return codes(text.replace(above, f"{comment}\n{above}", 1))


@pytest.mark.parametrize(
    "comment",
    [
        "  # lint: ignore no_owner: nobody's",
        "# lint:ignore no_owner : nobody's",
        "  #lint: ignore no_owner: because: of this",
        "  # lint: ignore no_owner: nobody's\n\n  # Another comment.",
    ],
)
def test_what_is_meant_so_is_passed_over(comment: str) -> None:
    """By a comment above its entry, with a reason."""
    assert ignoring(comment) == set()


@pytest.mark.parametrize(
    "comment",
    [
        "  # lint: ignore no_owner",
        "  # lint: ignore no_owner:",
        "  # lint: ignore: nobody's",
        "  # lint: ignore",
    ],
)
def test_without_a_code_and_a_reason_nothing_is_passed_over(comment: str) -> None:
    """And that is said."""
    assert ignoring(comment) == {LintCode.NO_OWNER, LintCode.NO_REASON}


def test_a_comment_is_about_its_entry_or_its_line_alone() -> None:
    """Not about the entry before, after, or around it; nor about another file."""
    comment = "  # lint: ignore no_owner: nobody's"
    idle = {LintCode.NO_OWNER, LintCode.NOTHING_IGNORED}

    assert ignoring(comment, above="  - id: rooms-for-calendar\n") == idle
    assert ignoring(comment, above="grants:\n") == idle
    assert ignoring(comment, above="    client: calendar-mcp\n") == idle
    assert ignoring(f"{OWNERLESS}{comment}", above="", text="") == idle
    files = Snapshot((("a.yaml", OWNERLESS.encode()), ("b.yaml", f"{comment}\n".encode())))
    found = look_at(files, issuer=story.OUR_ISSUER, now=NOW).findings
    assert {one.code for one in found} == {LintCode.NO_OWNER}


def test_a_comment_above_a_line_is_about_that() -> None:
    """So that the rest of the entry is looked at."""
    ended = but(("    expires: never", "    expires: 2026-11-01T00:00:00Z"))
    comment = "    # lint: ignore expired: kept for the record"

    assert ignoring(comment, above="    expires: 2026", text=ended) == set()
    assert ignoring("  # lint: ignore expired, no_owner: kept", text=ended) == {
        LintCode.NOTHING_IGNORED
    }


def test_an_error_is_never_passed_over() -> None:
    """And where there is one, no comment is said to be idle: not all was looked for."""
    wrong = but((AGENT, "agents: []"))

    assert ignoring("  # lint: ignore empty_value: it is so", text=wrong) == {Code.EMPTY_VALUE}


@pytest.mark.parametrize(
    ("issuer", "people", "meet"),
    [
        (LOGIN, {"alice"}, True),
        (LOGIN, {"bob"}, False),
        (LOGIN, set(), True),
        (PARTNER, {"alice"}, False),
    ],
    ids=["the same", "another", "anybody", "of another issuer"],
)
def test_who_may_be_meant_by_two(issuer: str, people: set[str], *, meet: bool) -> None:
    """People are told apart by their issuers, and by nothing else that a token can have."""
    alice = Subjects(
        issuer=LOGIN, people=frozenset({"alice"}), claims={"groups": frozenset({"staff"})}
    )

    other = Subjects(issuer=issuer, people=frozenset(people), everyone=not people)

    assert may_meet(alice, other) is meet
