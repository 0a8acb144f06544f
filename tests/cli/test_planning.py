"""Plans and tests of the registry: the exact words, and the exit status."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from delegation.cli.planned import planned_lines, tried, tried_lines
from delegation.domain.changes import Change, Effect, Kind, Step, Whom
from delegation.domain.questions import Expectation, Question
from delegation.registry.loader import Snapshot
from delegation.registry.plan import Planned
from delegation.registry.published import published
from delegation.registry.trials import Outcome
from tests.cli.command import Ran, run
from tests.parties import NOW
from tests.registry.story import OUR_ISSUER, STORY, write

AT = ("--at", "2026-11-20T12:00:00Z")

TESTS = """\
tests:
  - name: Alice's agent reads her calendar
    client: calendar-mcp
    subject: corp|alice
    agent: desk-agent
    claims: {groups: [staff]}
    mcp_scope: ["calendar:read"]
    resource: calendar
    expect: {granted: [events.read]}
"""

WRONG = """\
  - name: Bob's agent does not
    client: calendar-mcp
    subject: corp|bob
    agent: desk-agent
    resource: calendar
    expect: {refused: scope_empty}
  - name: it may write
    client: calendar-mcp
    subject: corp|alice
    agent: desk-agent
    resource: calendar
    expect: {granted: [events.write]}
  - name: it may not
    client: calendar-mcp
    subject: corp|alice
    agent: desk-agent
    claims: {groups: [staff]}
    mcp_scope: ["calendar:read"]
    resource: calendar
    expect: refused
  - name: it may
    client: calendar-mcp
    subject: corp|alice
    agent: nobody
    resource: calendar
    expect: granted
"""

CHANGED = STORY.replace("lifetime: 300", "lifetime: 60").replace("[desk-agent]", "any")


def asked(command: str, *arguments: str | Path, **environment: str) -> Ran:
    """Run it for the story's service."""
    return run(
        "registry",
        command,
        *map(str, arguments),
        environment={"DELEGATION_ISSUER": OUR_ISSUER} | environment,
    )


@pytest.fixture(name="old")
def _old(tmp_path: Path) -> Path:
    """The story, as files."""
    return write(tmp_path / "old", story=STORY)


@pytest.fixture(name="new")
def _new(tmp_path: Path) -> Path:
    """The story with a change, as files."""
    return write(tmp_path / "new", story=CHANGED)


def test_a_plan(old: Path, new: Path) -> None:
    """Each entry, which way it goes, in what, and for whom."""
    ran = asked("plan", new, "--against", old, *AT)

    assert ran == Ran(
        0,
        """\
BOTH      grant calendar-for-staff, changed (story.yaml:25)
  wider     agents: + any  - desk-agent
  narrower  lifetime: + 60 s  - 300 s
  who       calendar-mcp, through any, desk-agent
  for whom  corp|alice if groups has staff
  where     https://calendar.example.com/api, with events.read

Changes: 0 wider, 0 narrower, 1 both, 0 same.
""",
        "",
    )


def test_nothing_changes(old: Path) -> None:
    """And that is said."""
    ran = asked("plan", old, "--against", old, "--detailed-exitcode")

    assert ran == Ran(0, "Nothing changes.\n", "")


def test_the_directory_of_the_settings(old: Path, new: Path) -> None:
    """Where none is named."""
    ran = asked("plan", "--against", old, DELEGATION_REGISTRY=str(new))

    assert ran.out.startswith("BOTH")


@pytest.mark.parametrize(
    ("text", "status"),
    [(STORY, 0), (STORY.replace("owner: calendar team", "owner: us"), 0), (CHANGED, 2)],
    ids=["nothing", "a description", "what is allowed"],
)
def test_a_detailed_exit_code(old: Path, tmp_path: Path, text: str, status: int) -> None:
    """2 where what is allowed changes, and only where that is asked for."""
    other = write(tmp_path / "other", story=text)

    assert asked("plan", other, "--against", old, "--detailed-exitcode", *AT).status == status
    assert asked("plan", other, "--against", old, *AT).status == 0


def test_a_plan_for_programs(old: Path, new: Path) -> None:
    """All of it, with both revisions."""
    ran = asked("plan", new, "--against", old, "--output", "json", *AT)

    answer = json.loads(ran.out)
    (change,) = answer["changes"]
    assert answer["effect"] == "both"
    assert answer["before"] != answer["after"]
    assert change["differences"] == [
        {"of": "agents", "effect": "wider", "gained": ["any"], "lost": ["desk-agent"]},
        {"of": "lifetime", "effect": "narrower", "gained": ["60 s"], "lost": ["300 s"]},
    ]
    assert change["whom"]["subjects"] == ["corp|alice if groups has staff"]
    assert change["place"] == "story.yaml:25"


def test_many_names_are_cut_for_people() -> None:
    """Programs get them all."""
    names = tuple(f"grant-{number}" for number in range(7))
    change = Change(
        kind=Kind.ACTOR_ISSUER,
        name="platform",
        step=Step.REMOVED,
        effect=Effect.SAME,
        because="no reason",
        whom=Whom(grants=names),
    )

    assert [*planned_lines([Planned(change=change, place="")])] == [
        "SAME      actor issuer platform, removed",
        "  because   no reason",
        "  grants    grant-0, grant-1, grant-2, grant-3, grant-4 and 2 more",
        "",
        "Changes: 0 wider, 0 narrower, 0 both, 1 same.",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name what to compare with: --against or --api."),
        (("--against", "{old}", "--api", "http://localhost:1"), "Name --against or --api, not bo"),
        (("--against", "{old}/nowhere"), "does not exist"),
        (("--against", "{old}", "--nonsense"), "No such option"),
        (("--api", "http://localhost:1"), "Set DELEGATION_ADMIN_TOKEN"),
    ],
    ids=["neither", "both", "nowhere", "nonsense", "no token"],
)
def test_wrong_usage_is_no_change(old: Path, arguments: tuple[str, ...], said: str) -> None:
    """Its exit status is 1: 2 means something else here."""
    ran = asked("plan", old, *(one.format(old=old) for one in arguments), "--detailed-exitcode")

    assert (ran.status, ran.out) == (1, "")
    assert said in ran.err


def test_the_service_must_be_named(old: Path) -> None:
    """Where no service says which it is."""
    ran = run("registry", "plan", str(old), "--against", str(old))

    assert ran.status == 1
    assert "Name the service that the files are for: --issuer." in ran.err


def test_files_that_cannot_be_loaded(old: Path, tmp_path: Path) -> None:
    """Which, and all that is wrong with them."""
    broken = write(tmp_path / "broken", story="grants: none")

    ran = asked("plan", broken, "--against", old, "--detailed-exitcode")

    assert ran.status == 1
    assert ran.err.startswith(f"The files in {broken} cannot be loaded:\nstory.yaml:1: `grants`")


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    """Something at an address that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def loaded(**changes: Any) -> dict[str, Any]:
    """What a service answers that has loaded the story."""
    files = published(Snapshot((("story.yaml", STORY.encode()),)))
    listed = [{"name": name, "content": content} for name, content in files.items()]
    usual = {
        "revision": "its-revision",
        "issuer": OUR_ISSUER,
        "admin_audience": f"{OUR_ISSUER}/admin",
        "files": listed,
    }
    return usual | changes


def against(answer: Any, *arguments: str | Path) -> Ran:
    """A plan against what a service answers, which says itself which it is."""
    with serving(answer) as url:
        environment = {"DELEGATION_ADMIN_TOKEN": "token", "DELEGATION_ADMIN_API": url}
        return run("registry", "plan", *map(str, arguments), *AT, environment=environment)


def test_a_plan_against_a_service(old: Path, new: Path) -> None:
    """What it has loaded; secrets are told by their fingerprints, and are the same here."""
    same, other = against(loaded(), old), against(loaded(), new, "--output", "json")

    assert same == Ran(0, "Nothing changes.\n", "")
    assert json.loads(other.out)["before"] == "its-revision"
    assert [one["name"] for one in json.loads(other.out)["changes"]] == ["calendar-for-staff"]


def test_a_directory_that_is_named_comes_before_the_setting(old: Path) -> None:
    """`--against` is meant, whatever the environment has."""
    ran = asked("plan", old, "--against", old, DELEGATION_ADMIN_API="http://localhost:1")

    assert ran == Ran(0, "Nothing changes.\n", "")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        loaded(files=None),
        loaded(files=[{"name": "x", "content": {"grants": "none"}}]),
        loaded(files=[{"name": "x", "content": "\ud800"}]),
    ],
    ids=["another", "nothing", "nonsense", "half a character"],
)
def test_an_answer_that_is_not_understood(old: Path, answer: Any) -> None:
    """Is nothing to compare with."""
    ran = against(answer, old)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "What the service has loaded is not understood: is it of this version?\n"


def test_files_that_cannot_be_loaded_by_the_service(tmp_path: Path) -> None:
    """Are said to be so."""
    broken = write(tmp_path / "broken", story="grants: none")

    ran = against(loaded(), broken)

    assert ran.status == 1
    assert ran.err.startswith(f"The files in {broken} cannot be loaded:")


def test_all_tests_pass(tmp_path: Path) -> None:
    """Each by its name and its place."""
    files = write(tmp_path / "registry", story=STORY, tests=TESTS)

    ran = asked("test", files, *AT)

    assert ran == Ran(
        0,
        """\
passed  Alice's agent reads her calendar (tests.yaml:2)
Tests: 1 passed, 0 failed.
""",
        "",
    )


def test_tests_that_fail(tmp_path: Path) -> None:
    """What was expected, and the whole answer, with the grant that comes nearest."""
    files = write(tmp_path / "registry", story=STORY, tests=TESTS + WRONG)

    ran = asked("test", files, *AT)

    assert ran.status == 1
    assert ran.out.endswith("Tests: 1 passed, 4 failed.\n")
    assert (
        """\
FAILED  Bob's agent does not (tests.yaml:10)
  expected  refused, for scope_empty
  No: calendar-mcp would be given no token for https://calendar.example.com/api.
    error     invalid_request: the exchange is not permitted
    reason    not_permitted
    cause     no_grant, which the client is not told
    nearest   the grant calendar-for-staff, if it were not for this:
"""
        in ran.out
    )
    assert "  expected  granted, with events.write\n" in ran.out
    assert "  expected  refused\n  Yes: calendar-mcp would be given a token" in ran.out
    assert "  expected  granted\n" in ran.out


def test_tests_for_programs(tmp_path: Path) -> None:
    """With the answer as `can-i` gives it."""
    files = write(tmp_path / "registry", story=STORY, tests=TESTS + WRONG)

    answer = json.loads(asked("test", files, "--output", "json", *AT).out)

    passed, bob, *_ = answer["tests"]
    assert (answer["passed"], answer["failed"]) == (1, 4)
    assert (passed["passed"], passed["place"]) == (True, "tests.yaml:2")
    assert passed["expected"] == {"allowed": True, "scope": ["events.read"], "cause": None}
    assert passed["actual"]["grant"] == "calendar-for-staff"
    assert bob["expected"] == {"allowed": False, "scope": None, "cause": "scope_empty"}
    assert bob["actual"]["cause"] == "no_grant"


def test_a_test_that_has_no_answer() -> None:
    """It failed, and says why."""
    asked = Question(
        client="x", resource="y", alias="corp", subject="alice", agent="desk-agent", now=NOW
    )
    test = Expectation(name="a test", place="tests.yaml:2", question=asked, granted=True)
    outcome = Outcome(expectation=test, answer=None, problem="there is no client x")

    assert [*tried_lines([outcome])] == [
        "FAILED  a test (tests.yaml:2)",
        "  expected  granted",
        "  actual    no answer: there is no client x",
        "Tests: 0 passed, 1 failed.",
    ]
    assert tried([outcome], "r")["tests"][0]["actual"] is None


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("", "There are no tests in "),
        (TESTS.replace("calendar-mcp", "calender-mcp"), "tests.yaml:3: there is no `calender-mcp`"),
    ],
    ids=["none", "an unknown client"],
)
def test_no_test_is_no_failure(tmp_path: Path, tests: str, said: str) -> None:
    """What could not be tested has a status of its own."""
    files = write(tmp_path / "registry", story=STORY, tests=tests)

    ran = asked("test", files)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(said)
