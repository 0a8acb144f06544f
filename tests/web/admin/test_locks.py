"""Stopping: of what, how, by whom, how often; what it reaches, and by when it is complete."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from delegation.audit.packing import unpacked
from delegation.domain.administration import Capability
from delegation.domain.errors import LockIncomplete, Unavailable
from delegation.domain.exchanges import Filter
from delegation.domain.locks import EVERYTHING, Kind, Target
from delegation.domain.ports import LockConflict, UnknownLock
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.store import Store
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    OUR_ISSUER,
    ROOMS_API,
    a_resource,
    the_next_resource,
)
from tests.valkey import now_in_milliseconds
from tests.web.admin.desk import ALL, Desk, iss_sub, problem

ALICES = {"kind": "subject", "subject": iss_sub(LOGIN, "alice")}

TARGETS: dict[str, dict[str, Any]] = {
    "everything": {},
    "issuer": {"issuer": LOGIN},
    "subject": {"subject": iss_sub(LOGIN, "alice")},
    "agent": {"agent": iss_sub(LOGIN, DESK_AGENT)},
    "actor": {"actor": iss_sub(OUR_ISSUER, CALENDAR_MCP)},
    "client": {"client": CALENDAR_MCP},
    "resource": {"resource": CALENDAR_API},
    "grant": {"grant": "calendar"},
    "exchange": {},
    "token": {"issuer": LOGIN, "token": "login-1"},
    "pair": {
        "subject": iss_sub(LOGIN, "alice"),
        "actor": iss_sub(OUR_ISSUER, CALENDAR_MCP),
    },
}


def events(raw: "redis.Redis[bytes]") -> list[dict[str, Any]]:
    """Every event of an administrative act."""
    streams = raw.keys("dlg:*:events")
    found = [unpacked(fields[b"event"]) for one in streams for _, fields in raw.xrange(one)]
    return [event for event in found if event["type"] in {"lock", "lift"}]


def test_every_kind_is_tested() -> None:
    """The table has them all."""
    assert set(TARGETS) == set(Kind)


@pytest.mark.standard("REV-1", "REV-2", "REV-3")
@pytest.mark.parametrize("kind", Kind)
def test_a_lock_on_every_kind_of_target(desk: Desk, raw: "redis.Redis[bytes]", kind: Kind) -> None:
    """It stops what was issued, with all that came from it; the event says who did it and why."""
    first = desk.exchanged()
    second = desk.exchanged_next(first)
    target = {"kind": kind.value} | TARGETS[kind]
    if kind is Kind.EXCHANGE:
        target["exchange"] = first.id

    answer = desk.lock(target)

    assert answer.status_code == 201
    assert not desk.is_alive(first)
    assert not desk.is_alive(second)
    lock = answer.json["lock"]
    assert lock["target"] == target
    assert lock["author"] == "https://staff.example.com|carol"
    assert (lock["state"], lock["ends_at"], lock["reason"]) == ("standing", None, "a test")
    assert lock["parents"] is (kind in {Kind.SUBJECT, Kind.TOKEN})
    assert answer.json["durability"] == {"on_disk": True, "replicas": 0}
    [event] = events(raw)
    assert event["author"] == lock["author"]
    assert (event["lock"], event["reason"]) == (lock["id"], "a test")
    assert desk.get(f"/locks/{lock['id']}") == lock
    assert desk.get("/locks")["items"] == [lock]
    radius = answer.json["blast_radius"]
    assert (radius["exchanges"], radius["subjects"], radius["complete"]) == (2, 1, True)


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("kind", Kind)
def test_a_dry_run(desk: Desk, raw: "redis.Redis[bytes]", kind: Kind) -> None:
    """It says what would be reached, and writes nothing at all."""
    first = desk.exchanged()
    second = desk.exchanged_next(first)
    target = {"kind": kind.value} | TARGETS[kind]
    if kind is Kind.EXCHANGE:
        target["exchange"] = first.id
    before = {key: raw.dump(key) for key in raw.scan_iter()}

    answer = desk.lock(target, query={"dry_run": "true"})

    assert answer.status_code == 200
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before
    assert desk.is_alive(second)
    radius = answer.json["blast_radius"]
    assert radius == {
        "exchanges": 2,
        "subjects": 1,
        "actors": 3,
        "deepest_chain": 3,
        "resources": radius["resources"],
        "looked_at": 2,
        "complete": True,
        "cursor": None,
    }
    assert {one["resource"] for one in radius["resources"]} == {CALENDAR_API, ROOMS_API}
    last = max(one["latest_expiry"] for one in radius["resources"])
    assert answer.json["fully_effective_at"] == last
    flat = _flat(target)
    assert desk.get("/blast-radius", **flat)["blast_radius"] == radius


def _flat(target: dict[str, Any]) -> dict[str, str]:
    """A target as a query has it."""
    flat = {}
    for name, value in target.items():
        if isinstance(value, dict):
            flat |= {f"{name}_issuer": value["iss"], name: value["sub"]}
        else:
            flat[name] = value
    return flat


def test_resources_that_ask_each_time(store: Store, ledger: RedisLedger) -> None:
    """There a stop is complete at once; elsewhere when the last token expires."""
    resources = [a_resource(), the_next_resource(introspects=True)]
    desk = Desk(store, ledger, resources=resources)
    first = desk.exchanged()
    second = desk.exchanged_next(first)

    rooms = desk.lock({"kind": "exchange", "exchange": second.id}, query={"dry_run": "true"})
    both = desk.lock({"kind": "exchange", "exchange": first.id}, query={"dry_run": "true"})

    assert rooms.json["blast_radius"]["resources"][0]["introspects"] is True
    assert datetime.fromisoformat(rooms.json["fully_effective_at"]) <= datetime.now(UTC)
    ends = datetime.fromisoformat(both.json["fully_effective_at"])
    assert ends == first.expires_at


def test_nothing_to_stop(desk: Desk) -> None:
    """It stands all the same, and is complete at once."""
    answer = desk.lock(ALICES)

    assert answer.status_code == 201
    assert answer.json["blast_radius"]["exchanges"] == 0
    assert datetime.fromisoformat(answer.json["fully_effective_at"]) <= datetime.now(UTC)


def test_what_is_stopped_already_is_not_complete_yet(desk: Desk) -> None:
    """An API that does not ask takes it still: a second stop is not complete before the first."""
    made = desk.exchanged()

    answers = [desk.lock(ALICES), desk.lock(ALICES)]

    assert [one.json["blast_radius"]["exchanges"] for one in answers] == [1, 0]
    ends = {datetime.fromisoformat(one.json["fully_effective_at"]) for one in answers}
    assert ends == {made.expires_at}


def test_a_count_that_is_cut(desk: Desk) -> None:
    """At least so many; by when it is complete is said for the worst; and it can be gone on."""
    made = [desk.exchanged() for _ in range(5)]
    target = Target.subject(ALICE)

    cut = desk.administration.reach(target, budget=3)
    assert cut.radius is not None
    rest = desk.administration.reach(target, cut.radius.cursor, budget=1000)

    assert cut.radius.cursor is not None
    assert cut.radius.exchanges == 3
    worst = datetime.fromtimestamp(cut.fully_effective_at / 1000, UTC)
    assert worst - datetime.now(UTC) > timedelta(minutes=14)
    assert rest.radius is not None
    assert rest.radius.exchanges == len(made) - 3
    assert rest.fully_effective_at >= cut.fully_effective_at - 60_000


def test_going_on_over_http(desk: Desk) -> None:
    """The cursor of one answer is taken by the next."""
    for _ in range(3):
        desk.exchanged()
    everything = Filter((EVERYTHING,), lineage=True)
    page = desk.exchanges.page(everything, None, count=1, budget=1)

    answer = desk.get("/blast-radius", kind="everything", cursor=page.cursor)

    assert answer["blast_radius"]["exchanges"] == 2


@pytest.mark.standard("REV-1")
def test_the_same_key_is_the_same_lock(desk: Desk, raw: "redis.Redis[bytes]") -> None:
    """However often it is asked for: one lock, one event, and a time to live that does not grow."""
    headers = {"Idempotency-Key": "incident-7"}

    first = desk.lock(ALICES, ttl=60, headers=headers)
    again = desk.lock(ALICES, ttl=600, headers=headers)
    other = desk.lock({"kind": "client", "client": "x"}, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json["lock"] == first.json["lock"]
    assert other.json["lock"]["id"] != first.json["lock"]["id"]
    assert len(events(raw)) == 2


def test_the_same_key_of_somebody_else(desk: Desk) -> None:
    """Is another lock: nobody's orders get lost in another's."""
    headers = {"Idempotency-Key": "incident-7"}
    dave = {"Authorization": f"Bearer {desk.staff.token(sub='dave')}"}

    first = desk.lock(ALICES, headers=headers)
    other = desk.lock(ALICES, headers=headers | dave)

    assert first.json["lock"]["id"] != other.json["lock"]["id"]
    assert other.json["lock"]["author"].endswith("|dave")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä"])
def test_a_key_that_is_none(desk: Desk, key: str) -> None:
    """It is refused, and not left out: who sends one relies on it."""
    answer = desk.lock(ALICES, headers={"Idempotency-Key": key})

    assert problem(answer) == (400, "malformed-request")


def test_a_lock_that_was_lifted_is_not_put_on_again(desk: Desk) -> None:
    """Who repeats an order must not undo what was done since."""
    headers = {"Idempotency-Key": "incident-7"}
    made = desk.lock(ALICES, headers=headers).json["lock"]
    desk.ask("POST", f"/locks/{made['id']}/lift", body={"reason": "over"})

    answer = desk.lock(ALICES, headers=headers)

    assert problem(answer) == (409, "lock-lifted")


def test_ends(desk: Desk) -> None:
    """A time to live, a time to end, a time up to which: each as it is told."""
    soon = datetime.now(UTC) + timedelta(minutes=5)
    past = datetime.now(UTC) - timedelta(minutes=5)

    ttl = desk.lock(ALICES, ttl=60.0).json["lock"]
    until = desk.lock(ALICES, ends_at=soon.isoformat()).json["lock"]
    now = desk.lock(ALICES, cut_off="now").json["lock"]
    up_to = desk.lock(ALICES, cut_off=past.isoformat()).json["lock"]

    for lock, state in ((ttl, "standing"), (until, "standing"), (now, "ended"), (up_to, "ended")):
        assert lock["state"] == state
    lasted = datetime.fromisoformat(ttl["ends_at"]) - datetime.fromisoformat(ttl["begins_at"])
    assert abs(lasted - timedelta(seconds=60)) < timedelta(seconds=2)
    assert abs(datetime.fromisoformat(until["ends_at"]) - soon) < timedelta(milliseconds=1)
    assert abs(datetime.fromisoformat(up_to["ends_at"]) - past) < timedelta(milliseconds=1)


def test_a_cut_off_long_ago(desk: Desk) -> None:
    """There is no time before time."""
    answer = desk.lock(ALICES, cut_off="0001-01-01T00:00:00Z")

    assert answer.json["lock"]["ends_at"] == "1970-01-01T00:00:00.000Z"


@pytest.mark.standard("REV-3")
def test_a_cut_off_stops_what_was_and_not_what_comes(desk: Desk) -> None:
    """Up to now, and nothing after that."""
    before = desk.exchanged()

    desk.lock({"kind": "client", "client": CALENDAR_MCP}, cut_off="now")

    assert not desk.is_alive(before)
    assert desk.is_alive(_exchanged_later(desk))


def _exchanged_later(desk: Desk) -> Any:
    """A cut-off is exact to the millisecond: the next one."""
    end = now_in_milliseconds() + 1
    while now_in_milliseconds() <= end:
        pass
    return desk.exchanged()


@pytest.mark.parametrize(
    "members",
    [
        {"ttl": 60, "cut_off": "now"},
        {"ttl": 60, "ends_at": "2999-01-01T00:00:00Z"},
        {"ends_at": "2020-01-01T00:00:00Z"},
        {"cut_off": "2999-01-01T00:00:00+01:00"},
    ],
    ids=str,
)
def test_what_contradicts_itself_or_the_clock(desk: Desk, members: dict[str, Any]) -> None:
    """It is refused before anything is done."""
    assert problem(desk.lock(ALICES, **members)) == (422, "impossible")
    assert desk.get("/locks")["items"] == []


def test_options(desk: Desk) -> None:
    """What is told counts more than what is usual."""
    lock = desk.lock(ALICES, parents=False, since_login=True).json["lock"]

    assert (lock["parents"], lock["since_login"]) == (False, True)


def test_faults_have_the_names_of_the_schema(desk: Desk) -> None:
    """Each place once, whatever alternatives it has."""
    answer = desk.lock(ALICES, cut_off="yesterday")

    place = "body/cut_off"
    assert answer.json["faults"] == [{"where": place, "what": "is not as the schema says"}]


def test_a_fault_is_told_once(desk: Desk) -> None:
    """An answer is not as long as the nonsense that is asked."""
    nonsense = {f"canary{number}": number for number in range(1000)}

    answer = desk.lock(ALICES, **nonsense)

    assert [fault["where"] for fault in answer.json["faults"]] == ["body"]


BODIES: dict[str, Any] = {
    "no object": [],
    "no target": {"reason": "x"},
    "no reason": {"target": ALICES},
    "an empty reason": {"target": ALICES, "reason": ""},
    "a blank reason": {"target": ALICES, "reason": " "},
    "a reason of two lines": {"target": ALICES, "reason": "a\nb"},
    "a reason that hides": {"target": ALICES, "reason": "a\u202eb"},
    "an unknown member": {"target": ALICES, "reason": "x", "canary": 1},
    "an unknown kind": {"target": {"kind": "canary"}, "reason": "x"},
    "no kind": {"target": {}, "reason": "x"},
    "a bare subject": {"target": {"kind": "subject", "subject": "canary"}, "reason": "x"},
    "another format": {
        "target": {"kind": "subject", "subject": {"format": "email", "email": "canary"}},
        "reason": "x",
    },
    "two targets": {"target": ALICES | {"client": "canary"}, "reason": "x"},
    "a time to live of none": {"target": ALICES, "reason": "x", "ttl": 0},
    "a time to live of text": {"target": ALICES, "reason": "x", "ttl": "60"},
    "half a second": {"target": ALICES, "reason": "x", "ttl": 0.5},
    "a time without zone": {"target": ALICES, "reason": "x", "ends_at": "2999-01-01T00:00:00"},
    "no such day": {"target": ALICES, "reason": "x", "ends_at": "2999-02-31T00:00:00Z"},
    "a truth that is text": {"target": ALICES, "reason": "x", "parents": "true"},
    "a lone surrogate": {"target": {"kind": "client", "client": "\ud800"}, "reason": "x"},
    "an end after the calendar's": {
        "target": ALICES,
        "reason": "x",
        "ends_at": "9999-12-31T23:59:59-23:59",
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_malformed(desk: Desk, body: Any) -> None:
    """It says where, in the names of the schema alone, and nothing is done."""
    answer = desk.ask("POST", "/locks", body=body)

    assert problem(answer) == (400, "malformed-request")
    assert answer.json["faults"][0]["where"].startswith("body")
    assert "canary" not in answer.text
    assert desk.get("/locks")["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"target": {"kind": "everything"}, "reason": "a", "reason": "b"}',
        b"\xff",
        b"[" * 60_000,
        b'{"reason": NaN}',
    ],
    ids=["empty", "cut", "twice", "no UTF-8", "deep", "no number"],
)
def test_a_body_that_is_no_json(desk: Desk, body: bytes) -> None:
    """One JSON document, each member once."""
    headers = {
        "Authorization": f"Bearer {desk.staff.token()}",
        "Content-Type": "application/json",
    }

    answer = desk.app.test_client().post("/admin/v1/locks", data=body, headers=headers)

    assert problem(answer) == (400, "malformed-request")


def test_a_body_that_is_compressed(desk: Desk) -> None:
    """What others on the way would read differently is not read at all."""
    answer = desk.lock(ALICES, headers={"Content-Encoding": "gzip"})

    assert problem(answer) == (415, "unsupported-media-type")
    assert desk.get("/locks")["items"] == []


def test_a_body_that_is_too_large(desk: Desk) -> None:
    """Nobody is kept busy with it."""
    answer = desk.lock(ALICES, reason="x" * 70_000)

    assert problem(answer) == (413, "too-large")


def test_an_exchange_that_is_none_of_ours(desk: Desk) -> None:
    """A lock that stands nowhere must not pass for one."""
    target = {"kind": "exchange", "exchange": "999-" + "a" * 22}

    assert problem(desk.lock(target)) == (404, "unknown-exchange")
    assert problem(desk.lock(target, query={"dry_run": "true"})) == (404, "unknown-exchange")
    answer = desk.ask("GET", "/blast-radius", **target)
    assert problem(answer) == (404, "unknown-exchange")


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "subject"},
        {"kind": "subject", "subject": "alice"},
        {"kind": "everything", "client": "x"},
        {"kind": "client", "client": "x", "grant": "y"},
    ],
    ids=str,
)
def test_a_target_with_other_names_than_it_takes(desk: Desk, query: dict[str, str]) -> None:
    """Exactly those: what is left out never means everything."""
    assert problem(desk.ask("GET", "/blast-radius", **query)) == (422, "impossible")


def test_a_made_up_cursor(desk: Desk) -> None:
    """Leads nowhere."""
    for path, query in (("/blast-radius", {"kind": "everything"}), ("/locks", {}), ("/alarms", {})):
        answer = desk.ask("GET", path, cursor="zz", **query)
        assert problem(answer) == (400, "unknown-cursor")


@pytest.mark.standard("REV-1", "6750-1")
def test_the_kill_switch_takes_more(desk: Desk) -> None:
    """To stop everything, or to let everything go, takes a scope of its own; dry, too."""
    writer = " ".join(set(Capability) - {Capability.LOCKS_EVERYTHING})
    everything = {"kind": "everything"}

    refused = [
        desk.lock(everything, scope=writer),
        desk.lock(everything, scope=writer, query={"dry_run": "true"}),
    ]
    allowed = desk.lock(everything)
    lift = f"/locks/{allowed.json['lock']['id']}/lift"
    refused.append(desk.ask("POST", lift, body={"reason": "x"}, scope=writer))

    for answer in refused:
        assert problem(answer) == (403, "insufficient-scope")
        assert 'scope="locks.everything locks.write"' in answer.headers["WWW-Authenticate"]
    assert allowed.status_code == 201
    assert desk.ask("POST", lift, body={"reason": "x"}, scope=ALL).status_code == 200


def test_reading_does_not_write(desk: Desk) -> None:
    """Who may look at locks may not put any on."""
    answer = desk.lock(ALICES, scope="locks.read exchanges.read")

    assert problem(answer) == (403, "insufficient-scope")


def test_lifting(desk: Desk, raw: "redis.Redis[bytes]") -> None:
    """What had been issued stays dead; to lift again is to lift once; the event says why."""
    before = desk.exchanged()
    made = desk.lock({"kind": "client", "client": CALENDAR_MCP}).json["lock"]
    path = f"/locks/{made['id']}/lift"

    lifted = desk.ask("POST", path, body={"reason": "the incident is over"})
    again = desk.ask("POST", path, body={"reason": "again"})

    assert lifted.status_code == again.status_code == 200
    assert lifted.json["lock"]["state"] == "lifted"
    assert lifted.json["durability"]["on_disk"] is True
    assert not desk.is_alive(before)
    assert desk.is_alive(_exchanged_later(desk))
    assert [event["reason"] for event in events(raw)] == ["a test", "the incident is over"]


def test_a_mistake(desk: Desk) -> None:
    """As if it had never been."""
    before = desk.exchanged()
    made = desk.lock({"kind": "client", "client": CALENDAR_MCP}).json["lock"]

    answer = desk.ask("POST", f"/locks/{made['id']}/lift", body={"reason": "x", "mistaken": True})

    assert answer.json["lock"]["state"] == "annulled"
    assert desk.is_alive(before)


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/lift")])
def test_a_lock_that_is_not_there(desk: Desk, method: str, path: str) -> None:
    """There is none to be read, or lifted."""
    body = {"reason": "x"} if method == "POST" else None

    answer = desk.ask(method, f"/locks/{desk.ledger.new_id(ALICE)}{path}", body=body)

    assert problem(answer) == (404, "unknown-lock")


def test_locks_by_state_and_kind(desk: Desk) -> None:
    """Those that fit what is named."""
    stands = desk.lock(ALICES).json["lock"]["id"]
    ended = desk.lock(ALICES, cut_off="now").json["lock"]["id"]
    client = desk.lock({"kind": "client", "client": "x"}).json["lock"]["id"]

    def found(**query: str) -> set[str]:
        return {lock["id"] for lock in desk.get("/locks", **query)["items"]}

    assert found() == {stands, ended, client}
    assert found(state="standing") == {stands, client}
    assert found(state="ended", kind="subject") == {ended}
    assert found(kind="client") == {client}
    assert found(kind="grant") == set()


class Failing:
    """Locks of which some verbs fail."""

    def __init__(self, locks: RedisLocks, error: Exception) -> None:
        self._locks = locks
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._locks, name)

    def lock(self, *_: Any) -> Any:
        """Fails."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LockIncomplete((3, 7)), (503, "lock-incomplete")),
        (LockConflict("lock_lifted"), (409, "lock-lifted")),
        (LockConflict("lock_id_taken"), (409, "lock-id-taken")),
        (Unavailable("ledger_unreachable"), (503, "unavailable")),
        (UnknownLock("x"), (404, "unknown-lock")),
        (ZeroDivisionError("canary"), (500, "internal-error")),
    ],
    ids=str,
)
@pytest.mark.standard("REV-1")
def test_what_goes_wrong(desk: Desk, error: Exception, expected: tuple[int, str]) -> None:
    """Each has its own answer; where it is not done everywhere, it says what is missing."""
    object.__setattr__(desk.administration, "locks", Failing(desk.locks, error))

    answer = desk.lock(ALICES)

    assert problem(answer) == expected
    assert answer.json.get("missing") == ([3, 7] if expected[1] == "lock-incomplete" else None)
    assert ("Retry-After" in answer.headers) is (expected[0] == 503)
    assert "canary" not in answer.text


def test_a_stop_does_not_fail_for_the_want_of_a_number(desk: Desk) -> None:
    """Where nothing can be counted it is stopped all the same, and complete at the latest then."""
    made = desk.exchanged()

    class Uncounted:
        def page(self, *_: Any, **__: Any) -> Any:
            raise Unavailable("ledger_unreachable")

    object.__setattr__(desk.administration, "exchanges", Uncounted())

    answer = desk.lock(ALICES)

    assert answer.status_code == 201
    assert answer.json["blast_radius"] is None
    ends = datetime.fromisoformat(answer.json["fully_effective_at"])
    assert timedelta(minutes=14) < ends - datetime.now(UTC) <= timedelta(minutes=15)
    assert not desk.is_alive(made)
