"""Reading the evidence as people type it: finding, following, shipping, dropping, explaining."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delegation.audit.events import Events
from delegation.audit.segments import Directory, Trail
from delegation.cli import reading
from delegation.domain.errors import Cause, NotPermitted
from delegation.domain.locks import EVERYTHING
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.audit.test_inquiry import FAMILY, FIRST, LOGIN, SECOND, exchange, lift, lock, refusal
from tests.audit.trails import KEY, Source, a_sealer, a_trail, an_event
from tests.cli.command import Ran, run
from tests.parties import CALENDAR_API, a_case
from tests.valkey import decide, decide_next

SCOPE = {"scope": {"granted": ["events.read"]}}
HOSTILE = "\u202eeve\x1b[2J"


class Books:
    """A store with events, and what seals them into *directory*."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        server = Server(environment["DELEGATION_REDIS_URL"], timeout=2)
        store = Store(server, Partitions(64))
        self.close = server.close
        self.directory = directory
        self.environment = {**environment, "DELEGATION_AUDIT_DIRECTORY": str(directory)}
        self.ledger = RedisLedger(store, events=Events(), limits=Limits())
        self.seal: Callable[[], object] = lambda: list(a_sealer(Evidence(store), directory)())  # type: ignore[arg-type]

    def exchanged(self) -> str:
        """One more exchange; its id."""
        _until_the_next_millisecond()
        delegation = decide(self.ledger)
        self.ledger.record(delegation, a_case())
        return delegation.id

    def refused(self) -> str:
        """One more refusal; its decision's id."""
        _until_the_next_millisecond()
        return self.ledger.refuse(NotPermitted(Cause.NO_GRANT), a_case())

    def run(self, *arguments: str, **others: str) -> Ran:
        """Run a command with these settings."""
        return run(*arguments, environment=self.environment | others)


def _until_the_next_millisecond() -> None:
    """Events of the same one come in the order of their ids, which is not that of their writing."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        pass


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    """Where segments are."""
    return tmp_path / "audit"


@pytest.fixture(name="books")
def _books(sound: dict[str, str], directory: Path) -> Iterator[Books]:
    """A store that was sealed once: what was before is in the segments."""
    books = Books(sound, directory)
    books.exchanged()
    books.refused()
    books.seal()
    yield books
    books.close()


def decisions(ran: Ran) -> list[str]:
    """Those of the events that were written, one on a line."""
    assert ran.status == 0, ran.err
    return [json.loads(line)["decision"] for line in ran.out.splitlines()]


def test_sealed_and_not(books: Books) -> None:
    """Found together, for people and for programs."""
    new = books.exchanged()

    table = books.run("audit", "query")
    lines = books.run("audit", "query", "--output", "jsonl")
    document = books.run("audit", "query", "--output", "json")

    assert len(decisions(lines)) == 3
    assert decisions(lines)[-1] == new
    assert [json.loads(line) for line in lines.out.splitlines()] == json.loads(document.out)[
        "items"
    ]
    head, *rows = table.out.splitlines()
    assert head.split() == ["AT", "OUTCOME", "ID", "BY", "FOR", "RESOURCE", "WHAT"]
    assert [row.split()[1] for row in rows] == ["granted", "refused", "granted"]
    assert (table.err, lines.err, document.err) == ("", "", "")


def test_filters(books: Books, directory: Path) -> None:
    """All that is named must fit; what is not there at all is said so."""
    of_alice = ("--subject", LOGIN, "alice", "--client", "calendar-mcp", "--since", "2h")

    assert len(decisions(books.run("audit", "query", *of_alice, "--output", "jsonl"))) == 1
    refused = books.run("audit", "query", "--reason", "no_grant", "--outcome", "refused")
    assert refused.out.count("no_grant") == 1
    nothing = books.run("audit", "query", str(directory), "--until", "2026-01-01")
    assert (nothing.status, nothing.out) == (0, "No event fits.\n")


def test_there_may_be_more(books: Books) -> None:
    """Nothing is left out in silence."""
    ran = books.run("audit", "query", "--limit", "1", "--output", "jsonl")

    assert len(ran.out.splitlines()) == 1
    assert ran.err == "There may be more than these 1: narrow it, or raise --limit.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--reason", "no_reason"), "'no_reason' is not one of 'malformed', 'client_not_enabled'"),
        (("--outcome", "x"), "'x' is not one of 'granted', 'not_issued', 'refused'"),
        (("--since", "yesterday"), "write a time, 2026-11-21T03:00Z, or how long ago: 15m, 8h"),
        (("--since", "999999999d"), "write a time"),
        (("--sealed",), "Name the DIRECTORY, or set DELEGATION_AUDIT_DIRECTORY."),
    ],
)
def test_usage(arguments: tuple[str, ...], said: str) -> None:
    """What is not known is named with what is."""
    ran = run("audit", "query", *arguments)

    assert ran.status == 2
    assert said in " ".join(ran.err.split())


def test_a_store_out_of_reach(books: Books) -> None:
    """What is sealed is shown, and that it is not all is said."""
    away = {"DELEGATION_REDIS_URL": "unix:///nowhere/at-all"}

    for command in ("query", "tail", "export"):
        ran = books.run("audit", command, **away)
        assert len(ran.out.splitlines()) == 2 + (command == "query")
        assert ran.status == 1
        assert ran.err.startswith("The store cannot be read: only what is sealed was. ledger: ")


def test_without_a_directory(books: Books, sound: dict[str, str]) -> None:
    """What stands in the store; where that does not begin at the beginning, it is not all."""
    books.exchanged()

    ran = run("audit", "query", "--output", "jsonl", environment=sound)

    assert (ran.status, len(ran.out.splitlines())) == (1, 1)
    assert ran.err.splitlines() == [
        "Only what is not sealed yet: name the DIRECTORY of what is.",
        "Events were sealed before those in the store, and no DIRECTORY was named.",
    ]


def test_another_directory(books: Books, tmp_path: Path) -> None:
    """It is noticed that what is in the store does not go on from it."""
    a_trail(tmp_path / "other", [exchange(FIRST, **SCOPE)])
    books.exchanged()

    ran = books.run("audit", "query", str(tmp_path / "other"))

    assert ran.status == 1
    assert ran.err == (
        f"Events were sealed before those in the store, and {tmp_path / 'other'} does not have "
        "them.\n"
    )


def test_an_auditors_copy(directory: Path) -> None:
    """Neither settings nor store are needed."""
    a_trail(directory, [exchange(FIRST, **SCOPE)], [refusal(SECOND, FIRST)])

    ran = run("audit", "query", str(directory), "--sealed", "--output", "jsonl")
    without = run("audit", "query", str(directory))

    assert decisions(ran) == [FIRST, SECOND]
    assert without.status == 1
    assert without.err.splitlines()[-1] == "Or read the segments alone, with --sealed."


def test_a_directory_that_is_damaged_or_not_there(directory: Path) -> None:
    """The command ends, and says that it is not all."""
    nowhere = run("audit", "query", str(directory), "--sealed")
    a_trail(directory, [{}])
    Directory(directory).file(2).write_text("{}\n")

    damaged = [
        run("audit", *command, str(directory), "--sealed")
        for command in (["query"], ["tail"], ["export"])
    ]
    trace = run("audit", "trace", FIRST, str(directory), "--sealed")

    for ran in (nowhere, *damaged):
        assert ran.status == 1
        assert ran.err.splitlines()[-1] == "This is not all: what follows cannot be read."
    assert trace.status == 1
    assert trace.err.startswith(f"{directory}: segment 2: ")


def test_what_the_trail_says_itself(directory: Path) -> None:
    """That events are missing, and that something is none."""
    forged = replace(an_event(2), event=b"no event")
    list(a_sealer(Source({(0, "events"): [forged]}), directory)())

    ran = run("audit", "query", str(directory), "--sealed")

    assert ran.out == "No event fits.\n"
    assert ran.err.splitlines() == [
        "The trail says itself that 1 events are missing in it.",
        "1 records are no events, and were left out.",
    ]


def test_names_from_outside(directory: Path) -> None:
    """No terminal acts upon them, in whatever form they come."""
    event = exchange(FIRST, subject={"iss": LOGIN, "sub": HOSTILE}, **SCOPE)
    a_trail(directory, [event, lock(EVERYTHING, reason=HOSTILE, author=HOSTILE), lift(**ACT)])

    for command in (["query"], ["tail"], ["export"], ["trace", FIRST]):
        ran = run("audit", *command, str(directory), "--sealed")
        assert ran.status == 0
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
        assert "u202eeve" in ran.out


ACT = {"target": {"kind": "everything", "names": []}, "reason": "over", "author": "carol"}


def test_every_kind_of_event(directory: Path) -> None:
    """A line for each, also of one that a later release wrote."""
    a_trail(
        directory,
        [
            {"type": "alarm", "about": "notes-mcp", "cause": "keys_replaced"},
            {"type": "refusals_suppressed", "client": "notes-mcp", "count": 7},
            {"type": "later"},
            exchange(FIRST, type="not_issued", **SCOPE),
            refusal(SECOND, FIRST, asked={"targets": ["https://a.example.com"]}),
            lift(**ACT),
        ],
    )

    ran = run("audit", "tail", str(directory), "--sealed")

    assert [line.partition("  ")[2] for line in ran.out.splitlines()] == [
        "alarm  0f-1  notes-mcp  keys_replaced",
        "suppressed  0f-2  notes-mcp  7 refusals were only counted",
        "later  0f-3",
        f"not issued  {FIRST}  calendar-mcp  alice of {LOGIN}  {CALENDAR_API}  events.read",
        f"refused  {SECOND}  rooms-mcp  https://a.example.com  locked",
        "lifted  0f-6  carol  everything: over",
    ]


def test_a_trace(directory: Path) -> None:
    """A tree: what it came from above, what came of it below, and then what stopped it."""
    family = [{**SCOPE, **event} if "scope" not in event else event for event in FAMILY]
    stop = lock(EVERYTHING, reason="test", author="carol")
    a_trail(directory, family, [stop, lift(**ACT)])

    ran = run("audit", "trace", SECOND, str(directory), "--sealed")

    assert ran.status == 0
    lines = ran.out.splitlines()
    assert [line.index("2026") for line in lines if "2026" in line] == [2, 4, 6, 6, 6, 2, 2]
    assert [line[0] for line in lines] == [" ", "*", " ", " ", " ", "S", " ", " "]
    assert "refused" in lines[2]
    document = run("audit", "trace", SECOND, str(directory), "--sealed", "--output", "json")
    assert len(json.loads(document.out)["items"]) == 7


def test_a_trace_of_nothing(books: Books) -> None:
    """It says so; where the store cannot be asked, that."""
    nothing = books.run("audit", "trace", FIRST)
    unknown = books.run("audit", "trace", FIRST, DELEGATION_REDIS_URL="unix:///nowhere/at-all")

    assert (nothing.status, nothing.out) == (1, f"There is no event of {FIRST}.\n")
    assert (unknown.status, unknown.out) == (1, "")
    assert unknown.err.startswith("ledger: ")


def test_events_that_came_from_themselves(directory: Path) -> None:
    """What nobody of ours writes keeps no command from ending, and hides nothing."""
    a_trail(
        directory,
        [
            exchange(FIRST, **SCOPE),
            exchange(SECOND, FIRST, **SCOPE),
            exchange(FIRST, SECOND, FIRST, **SCOPE),
            exchange("0-x", "0-x", FIRST, **SCOPE),
        ],
    )

    ran = run("audit", "trace", FIRST, str(directory), "--sealed")

    assert len(ran.out.splitlines()) == 4


def test_a_real_trace(books: Books) -> None:
    """Of two hops, one of which is sealed."""
    first = decide(books.ledger)
    books.ledger.record(first, a_case())
    books.seal()
    second = decide_next(books.ledger, first)
    books.ledger.record(second, a_case())

    ran = books.run("audit", "trace", second.id)

    assert [line[0] for line in ran.out.splitlines()] == [" ", "*"]
    assert first.id in ran.out.splitlines()[0]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_why(books: Books, is_sealed: Any) -> None:
    """In words for people, as it is for programs, wherever the event is by now."""
    decision = books.refused()
    if is_sealed:
        books.seal()

    said = books.run("explain", decision)
    document = books.run("explain", decision, "--output", "json")

    assert said.out.splitlines()[0] == (
        "Refused: no grant speaks of this subject, through this agent."
    )
    assert f"decision             {decision}" in said.out
    assert "What to do:" in said.out
    assert json.loads(document.out)["event"]["decision"] == decision


def test_why_nobody_knows(books: Books) -> None:
    """The exit status says it, too."""
    ran = books.run("explain", FIRST)

    assert ran.status == 1
    assert ran.out.startswith(f"There is no event of {FIRST} here.\nWhat to do:\n")
    exchanged = books.run("explain", books.exchanged())
    assert exchanged.status == 0
    assert "What to do" not in exchanged.out


def test_segments_that_the_api_cannot_read(books: Books, directory: Path) -> None:
    """The command says where to look."""
    Directory(directory).file(2).write_text("{}\n")

    ran = books.run("explain", FIRST)

    assert ran.status == 1
    assert ran.err.splitlines()[-1] == (
        "Look at DELEGATION_AUDIT_DIRECTORY: `delegation audit verify` says what is wrong with it."
    )


def test_the_tail(books: Books) -> None:
    """The last of them, a line for each."""
    new = books.exchanged()

    ran = books.run("audit", "tail", "-n", "2")

    assert [line.split()[1] for line in ran.out.splitlines()] == ["refused", "granted"]
    assert new in ran.out
    assert decisions(books.run("audit", "tail", "-n", "1", "--output", "jsonl")) == [new]


@contextmanager
def told(*acts: Callable[[], object]) -> Iterator[Any]:
    """An event that is set after so many waits; at each of them something happens."""
    waits = iter(acts)

    class Stopped:
        is_over = False

        def is_set(self) -> bool:
            return self.is_over

        def wait(self, _: float) -> bool:
            act = next(waits, None)
            self.is_over = act is None
            if act is not None:
                act()
            return self.is_over

    yield Stopped()


def following(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[], object]) -> None:
    """Let something happen each time that a command waits, and then tell it to stop."""
    monkeypatch.setattr(reading, "until_told", lambda: told(*acts))


def test_the_tail_goes_on(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes is shown once, be it sealed meanwhile or not."""
    following(monkeypatch, books.exchanged, books.seal, books.refused, lambda: None)

    ran = books.run("audit", "tail", "-f", "-n", "1")

    assert [line.split()[1] for line in ran.out.splitlines()] == ["refused", "granted", "refused"]


def test_an_outage_while_it_goes_on(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said when it begins, and not again; what is sealed comes."""
    for command in (["tail", "-f"], ["export", "--follow"]):
        following(monkeypatch, lambda: None, lambda: None)
        ran = books.run("audit", *command, DELEGATION_REDIS_URL="unix:///nowhere/at-all")
        assert ran.err.count("Until then only what is sealed comes.") == 1
        assert ran.status == 1
        assert len(ran.out.splitlines()) == 2


def test_an_export_goes_on(books: Books, tmp_path: Path) -> None:
    """With a cursor, each comes once; without, all of them."""
    cursor = ("--cursor", str(tmp_path / "cursor"))

    first = decisions(books.run("audit", "export", *cursor, "--since", "8h"))
    new = books.exchanged()
    second = decisions(books.run("audit", "export", *cursor, "--since", "1s"))
    books.seal()
    third = decisions(books.run("audit", "export", *cursor))

    assert (len(first), second, third) == (2, [new], [])
    assert sorted(decisions(books.run("audit", "export"))) == sorted([*first, new])
    assert decisions(books.run("audit", "export", "--since", "2126-01-01")) == []


def test_an_export_that_follows(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is told to stop; then it has said how far it came."""
    monkeypatch.setattr(reading, "_BATCH", 1)
    following(monkeypatch, books.exchanged, books.seal, books.exchanged)
    cursor = tmp_path / "cursor"

    ran = books.run("audit", "export", "--follow", "--cursor", str(cursor))

    assert len(set(decisions(ran))) == len(decisions(ran)) == 4
    monkeypatch.undo()
    assert decisions(books.run("audit", "export", "--cursor", str(cursor))) == []


def test_an_export_is_told_to_stop(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of much to write: what is written is whole."""

    @contextmanager
    def at_once() -> Iterator[Any]:
        with told() as stopped:
            stopped.is_over = True
            yield stopped

    monkeypatch.setattr(reading, "until_told", at_once)

    assert len(decisions(books.run("audit", "export", "--follow"))) == 1


def test_a_cursor_of_another_trail(books: Books, tmp_path: Path) -> None:
    """Nothing is begun anew in silence."""
    for text in ("none", '{"version":1,"segment":9,"met":{}}'):
        (tmp_path / "cursor").write_text(text)
        ran = books.run("audit", "export", "--cursor", str(tmp_path / "cursor"))
        assert (ran.status, ran.out) == (1, "")


def test_whoever_reads_us_is_gone(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends without a word, and has not come further."""

    def gone(_: object) -> bool:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(reading, "_write", gone)

    ran = books.run("audit", "export")

    assert (ran.status, ran.out, ran.err) == (1, "", "")


def test_what_is_old_goes(directory: Path, tmp_path: Path) -> None:
    """What remains verifies, and the command says from where on."""
    segments = a_trail(directory, [{}], [{}], [{}])
    note = tmp_path / "checkpoint"
    note.write_text(Trail(segments).ending(1).note)
    age = ("--older-than", "1s")

    young = run("audit", "prune", str(directory), "--older-than", "36500d")
    would = run("audit", "prune", str(directory), *age, "--dry-run")
    kept = run("audit", "prune", str(directory), *age, "--keep", str(note))
    dropped = run("audit", "prune", str(directory), *age)

    assert young.out == "Nothing can be dropped.\n"
    assert would.out.startswith("Would drop the records up to segment 2.\n")
    assert kept.out == (
        "Dropped the records up to segment 1.\nWhat remains verifies from segment 2 on.\n"
    )
    assert dropped.status == 0
    verified = run("audit", "verify", str(directory), "--key", str(KEY.verifier))
    assert verified.status == 0
    assert "  before      what was before segment 3 was not verified" in verified.out
    again = run("audit", "prune", str(directory), *age, "--keep", str(note))
    assert again.err == (
        f"{directory}: segment 1 does not end with the checkpoint that was kept. "
        "Nothing was dropped.\n"
    )


def test_the_directory_may_be_a_setting(directory: Path) -> None:
    """For those that seal and verify, as for those that read."""
    a_trail(directory, [{}])
    environment = {"DELEGATION_AUDIT_DIRECTORY": str(directory)}

    verified = run("audit", "verify", "--key", str(KEY.verifier), environment=environment)
    found = run("audit", "query", "--sealed", environment=environment)

    assert (verified.status, found.status) == (0, 0)


def test_a_lock_keeps_its_evidence(directory: Path) -> None:
    """And the command says so, and what to do."""
    stop = lock(EVERYTHING, reason="test", author="carol", parents=False, since_login=False)
    a_trail(directory, [stop], [{}], [{}])

    ran = run("audit", "prune", str(directory), "--older-than", "1s")

    assert (ran.status, ran.out) == (1, "Nothing can be dropped.\n")
    assert ran.err == (
        "What follows stays: lock 0-lock stops something yet, and its evidence is there. "
        "To let it go, put the lock anew, and lift this one.\n"
    )


def test_what_cannot_be_pruned(directory: Path, tmp_path: Path) -> None:
    """Nothing is dropped of what is not understood."""
    note = tmp_path / "checkpoint"
    note.write_text("none")
    nowhere = run("audit", "prune", str(directory), "--older-than", "1s")
    a_trail(directory, [{}], [{}])
    none = run("audit", "prune", str(directory), "--older-than", "1s", "--keep", str(note))
    Directory(directory).file(1).write_text("{}\n")
    damaged = run("audit", "prune", str(directory), "--older-than", "1s")

    assert nowhere.err == f"{directory}: No such file or directory.\n"
    assert none.err == "--keep: its checkpoint has another form. Nothing was dropped.\n"
    assert damaged.err.endswith(". Nothing was dropped.\n")
    assert [nowhere.status, none.status, damaged.status] == [1, 1, 1]
