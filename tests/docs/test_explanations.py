"""The explanations are true: examples run, named tests are there, numbers are those of the code."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import jwt
import pytest

from delegation import wiring
from delegation.audit.packing import unpacked
from delegation.audit.segments import Directory, Trail
from delegation.dev.cast import ROOMS_API
from delegation.domain.administration import Stop
from delegation.domain.grants import DEFAULT_LIFETIME, MAX_LIFETIME
from delegation.domain.locks import Kind, Target
from delegation.domain.parties import Identity
from delegation.domain.registry import Registry
from delegation.domain.trust import CLIENT_SKEW, LONGEST_LIFE, LONGEST_SESSION, SKEW
from delegation.jose.jwks import FRESH_FOR, USABLE_FOR
from delegation.jose.keyring import Keyring
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.partitions import Partition, fingerprint
from delegation.watch import INTERVAL, SETTLE
from tests.attacks.attack import (
    CLIENT,
    NOT_PERMITTED,
    SUBJECT_TOKEN,
    UNAVAILABLE,
    Service,
    must_be_proper,
)
from tests.attacks.endpoint import Answer, Endpoint
from tests.audit.trails import KEY
from tests.docs.pages import ROOT, run, table
from tests.world import SIGNED_API, SIGNING, SIGNING_MCP, Login, TestWorld, a_test_world

PAGES = ROOT / "docs" / "explanation"
RULE, LOCKS, MODEL = (PAGES / f"{name}.md" for name in ("the-one-rule", "locks", "security-model"))
TEST = re.compile(r"\[(test_\w+)\]\(([^)]+)\)")
ATTACKS = range(1, 26)


def test_the_one_rule_does_what_it_shows() -> None:
    """Every example is a call of the rule itself, and prints what stands below it."""
    run(RULE, {})


def test_locks_do_what_they_show() -> None:
    """Every example asks the definition itself."""
    run(LOCKS, {})


def test_every_kind_of_lock_is_told_of() -> None:
    """The page names them all, and no others."""
    named = [row[0].strip("`") for row in table(LOCKS.read_text("utf-8"), "kind", "matches")]

    assert sorted(named) == sorted(Kind)


def test_an_end_is_remembered_for_as_long_as_it_says() -> None:
    """The numbers are those that tokens are checked by."""
    rows = table(LOCKS.read_text("utf-8"), "an end, for", "is remembered for")
    numbers = [[int(number) for number in re.findall(r"\d+", row[1])] for row in rows]

    (issued,), (parents,), (session, further) = numbers
    assert timedelta(minutes=issued) == MAX_LIFETIME
    assert timedelta(hours=parents) == timedelta(hours=further) == LONGEST_LIFE
    assert timedelta(days=session) == LONGEST_SESSION


# What is named


@cache
def named_in(path: Path) -> dict[str, set[str]]:
    """The tests of a file, each with the source of its decorators."""
    return {
        node.name: {ast.unparse(one) for one in node.decorator_list}
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def missing(text: str, page: Path) -> list[str]:
    """The tests that *text* links to, and that are not where it says."""
    found = TEST.findall(text)
    return [name for name, path in found if name not in named_in((page.parent / path).resolve())]


@pytest.mark.parametrize("page", [RULE, LOCKS, MODEL], ids=lambda page: page.stem)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    """Whoever follows a link to a test finds it."""
    assert missing(page.read_text("utf-8"), page) == []


def test_the_properties_are_properties() -> None:
    """What the rule rests on are properties, and all that there are of its decision are named."""
    named = [row[0].strip("`") for row in table(RULE.read_text("utf-8"), "property", "says")]
    properties = [
        name
        for name, decorators in named_in(ROOT / "tests/domain/test_policy.py").items()
        if "given(world=worlds())" in decorators
    ]

    assert named == properties


THREATS = ("attack", "threat", "what stands against it", "tests")


def threats() -> list[list[str]]:
    """The rows of all tables of threats."""
    parts = MODEL.read_text("utf-8").split("### ")[1:]
    return [row for part in parts for row in table(part, *THREATS)]


def test_every_attack_has_its_row() -> None:
    """The 25 attacks, each once; and each row says what stands against it, and which test."""
    numbers = [int(number) for row in threats() for number in re.findall(r"\d+", row[0])]

    assert sorted(numbers) == list(ATTACKS)
    assert all(what and control and TEST.search(tests) for _, what, control, tests in threats())


def test_an_attack_is_answered_by_a_test_of_it() -> None:
    """Where tests are marked with an attack, its row names one of these."""
    marked = {
        (path, name): {int(n) for one in marks for n in attack_numbers(one)}
        for path in ROOT.glob("tests/**/test_*.py")
        for name, marks in named_in(path).items()
    }
    known = set().union(*marked.values())

    for numbers, _, _, tests in threats():
        named = [((PAGES / path).resolve(), name) for name, path in TEST.findall(tests)]
        held = set[int]().union(*(marked[one] for one in named))
        unanswered = ({int(n) for n in re.findall(r"\d+", numbers)} & known) - held
        assert not unanswered, f"{MODEL.name}: name a test that is marked with {unanswered}"


def attack_numbers(decorator: str) -> list[str]:
    """Those of one mark."""
    found = re.fullmatch(r"pytest\.mark\.attack\((.*)\)", decorator)
    return re.findall(r"\d+", found[1]) if found else []


# How long a no can take


WINDOWS = ("window", "how long", "because")


@pytest.mark.parametrize(
    ("window", "numbers"),
    [
        ("an issued token", [MAX_LIFETIME.total_seconds(), DEFAULT_LIFETIME.total_seconds()]),
        ("a subject token that its issuer", [LONGEST_LIFE.total_seconds() / 3600]),
        ("another issuer's clock", [SKEW.total_seconds()]),
        ("a client's clock", [CLIENT_SKEW.total_seconds()]),
        ("a changed registry", [SETTLE, INTERVAL]),
        ("a key that its issuer", [FRESH_FOR, USABLE_FOR]),
        ("a key of ours", [300]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_windows_are_those_of_the_code(window: str, numbers: list[float]) -> None:
    """Each number of the table is the one that is in force."""
    rows = table(MODEL.read_text("utf-8"), *WINDOWS)
    (how_long,) = [row[1] for row in rows if row[0].startswith(window)]

    assert [float(number) for number in re.findall(r"\d+(?:\.\d+)?", how_long)] == numbers


# Whoever can write to the store


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A running service, with one worker, whose store is in bad hands."""
    with a_test_world(tmp_path_factory.mktemp("model"), workers=1) as world:
        yield world


def store(world: TestWorld) -> Any:
    """What is in bad hands, behind the service's back."""
    return world.books.store


def somebody(world: TestWorld) -> tuple[Identity, Endpoint]:
    """A person of this test's own, and the endpoint for who holds their tokens."""
    name = token_urlsafe(8)
    endpoint = replace(Service.of(world).endpoint(), token=lambda: world.login.token(sub=name))
    return Identity(world.login.issuer, name), endpoint


def alices(world: TestWorld) -> tuple[str, dict[str, Any]]:
    """A token that was issued for Alice, who may go on to a second hop, and its claims."""
    return issued(Service.of(world).endpoint().exchange())


def onward(world: TestWorld, token: str) -> Endpoint:
    """The endpoint for the calendar API, which was given *token*."""
    return replace(
        Service.of(world).endpoint(),
        client="calendar-api",
        secret=world.secrets["calendar-api"],
        resource=ROOMS_API,
        scope="rooms.read",
        token=lambda: token,
    )


def issued(answer: Answer) -> tuple[str, dict[str, Any]]:
    """The token of an exchange that was granted, and its claims."""
    assert answer.status == 200, answer
    token = answer.json["access_token"]
    return token, jwt.decode(token, options={"verify_signature": False})


def key_of_record(world: TestWorld, exchange: str) -> str:
    """Where the record of an exchange is."""
    partition = world.world.store.partitions.of_exchange(exchange)
    assert partition is not None
    return partition.record(exchange)


def place(world: TestWorld, root: Identity) -> Partition:
    """Where everything about a person is."""
    return world.world.store.partitions.of(root)


def lock(world: TestWorld, target: Target) -> None:
    """Stop it."""
    registry = Registry.of(issuer=world.world.url, revision="none")
    administration = wiring.administration(world.world.store, lambda: registry)
    administration.stop(Stop(target=target, reason="test"), author="test")


def test_a_lock_can_be_taken_out_of_the_store(world: TestWorld) -> None:
    """What was stopped goes on, and no counter says that there was a lock."""
    root, endpoint = somebody(world)
    target = Target.subject(root)
    lock(world, target)
    must_be_proper(endpoint.exchange(), NOT_PERMITTED)

    store(world).hdel(place(world, root).locks, fingerprint(target))

    assert endpoint.exchange().status == 200


FORGET = """
local record = cmsgpack.unpack(redis.call('GET', KEYS[1]))
record[1] = string.rep('0', #record[1])
redis.call('SET', KEYS[1], cmsgpack.pack(record), 'KEEPTTL')
"""


def test_a_record_can_be_made_to_forget_what_it_grew_from(world: TestWorld) -> None:
    """Then no lock matches it any more, however it is aimed."""
    token, claims = alices(world)
    target = Target.exchange(claims["jti"])

    store(world).eval(FORGET, 1, key_of_record(world, claims["jti"]))
    lock(world, target)

    assert onward(world, token).exchange().status == 200


def test_a_used_id_can_be_freed_in_the_store(world: TestWorld) -> None:
    """Whoever also has the assertion uses it again."""
    assertion = world.signer.assertion(jti=(jti := token_urlsafe()))
    endpoint = replace(Service.of(world).endpoint(), resource=SIGNED_API)

    def use() -> Answer:
        return endpoint.exchange(
            headers={"Authorization": None},
            subject_token=world.login.token(aud=SIGNING_MCP),
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            client_assertion=assertion,
        )

    assert use().status == 200
    must_be_proper(use(), CLIENT)
    partitions = world.world.store.partitions
    store(world).delete(partitions.of_artefact(SIGNING, jti).claim(SIGNING, jti))

    assert use().status == 200


def test_a_dead_token_can_be_revived_in_the_store(world: TestWorld) -> None:
    """A record that is put back makes its token good again, and no later than it said."""
    token, claims = alices(world)
    record = key_of_record(world, claims["jti"])
    kept = store(world).dump(record)
    store(world).delete(record)
    must_be_proper(onward(world, token).exchange(), SUBJECT_TOKEN)

    store(world).restore(record, 0, kept)

    _, second = issued(onward(world, token).exchange())
    assert second["exp"] <= claims["exp"]


def test_events_can_be_forged_in_the_store(world: TestWorld, tmp_path: Path) -> None:
    """Until they are sealed they are whatever the store says."""
    root, endpoint = somebody(world)
    endpoint.exchange()
    stream = place(world, root).events
    ((entry, fields),) = store(world).xrevrange(stream, count=1)
    store(world).xdel(stream, entry)
    forged = json.dumps(unpacked(fields[b"event"]) | {"client": "notes-mcp"})

    store(world).xadd(stream, fields | {b"event": forged}, id=f"{int(entry.split(b'-')[0])}-1")
    for _ in wiring.sealer(world.world.store, Directory(tmp_path), KEY)():
        pass

    events = [record.exported() for record in Trail(Directory(tmp_path)).records()]
    assert [
        event["client"] for event in events if event.get("subject", {}).get("sub") == root.subject
    ] == ["notes-mcp"]


def test_everything_can_be_stopped_from_the_store(world: TestWorld) -> None:
    """Without its layout a partition is not believed."""
    root, endpoint = somebody(world)
    layout = place(world, root).layout
    assert endpoint.exchange().status == 200
    kept = store(world).dump(layout)

    store(world).delete(layout)

    must_be_proper(endpoint.exchange(), UNAVAILABLE)
    store(world).restore(layout, 0, kept)
    assert endpoint.exchange().status == 200


def test_no_record_makes_a_forged_token_good(world: TestWorld) -> None:
    """A live record, and a token of exactly its id: but not our signature."""
    token, claims = alices(world)
    forger = Login(world.world.url, usual={})
    ours = jwt.get_unverified_header(token)

    forged = forger.sign(ours, claims | {"scope": "events.read events.write"})

    must_be_proper(onward(world, forged).exchange(), SUBJECT_TOKEN)
    assert onward(world, token).exchange().status == 200


def test_a_token_of_a_stolen_key_needs_a_live_id(world: TestWorld) -> None:
    """Of whom it says what is believed then; but only where the id is that of a live exchange."""
    _, claims = alices(world)
    key = Keyring.load(world.world.settings.signing_keys).active
    header = {"typ": "at+jwt", "kid": key.kid}
    alone = claims | {"act": {name: claims["act"][name] for name in ("iss", "sub")}}

    def signed(**changes: Any) -> str:
        return jwt.encode(alone | changes, key.private, key.algorithm, headers=header)

    made_up = claims["jti"].split("-", 1)[0] + "-" + token_urlsafe(16)
    must_be_proper(onward(world, signed(jti=made_up)).exchange(), SUBJECT_TOKEN)

    _, second = issued(onward(world, signed()).exchange())
    assert "act" not in second["act"]["act"]


REWRITE = """
local record = cmsgpack.unpack(redis.call('GET', KEYS[1]))
local detail = cjson.decode(record[3])
detail[4], detail[6], detail[8] = ARGV[1], ARGV[2], {ARGV[3]}
record[3] = cjson.encode(detail)
redis.call('SET', KEYS[1], cmsgpack.pack(record))
"""


def test_no_record_makes_a_token_stronger(world: TestWorld) -> None:
    """What comes of a token is what is signed in it, whatever its record says."""
    token, claims = alices(world)
    record = key_of_record(world, claims["jti"])

    store(world).eval(REWRITE, 1, record, "notes-mcp", ROOMS_API, "rooms.book")

    said = RedisExchanges(world.world.store).find(claims["jti"])
    assert said is not None
    assert (said.client, said.resource, said.scope) == ("notes-mcp", ROOMS_API, {"rooms.book"})
    assert store(world).ttl(record) == -1
    _, second = issued(onward(world, token).exchange())
    assert second["sub"] == "corp|alice"
    assert second["scope"] == "rooms.read"
    assert second["exp"] <= claims["exp"]
    assert [second["act"]["sub"], second["act"]["act"]["sub"]] == ["calendar-api", "calendar-mcp"]
    stranger = replace(onward(world, token), client="notes-mcp", secret=world.secrets["notes-mcp"])
    must_be_proper(stranger.exchange(), SUBJECT_TOKEN)


def test_a_store_that_was_set_back_is_not_believed(world: TestWorld) -> None:
    """A worker that has seen a lock counted notices when there were fewer."""
    root, endpoint = somebody(world)
    layout = place(world, root).layout
    store(world).hincrby(layout, "locks", 5)
    assert endpoint.exchange().status == 200

    store(world).hincrby(layout, "locks", -1)

    must_be_proper(endpoint.exchange(), UNAVAILABLE)
    store(world).hincrby(layout, "locks", 1)
    assert endpoint.exchange().status == 200
