"""What is known of earlier exchanges: for whom, and until when."""

import base64
import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from delegation.client.cache import (
    AGAIN_AFTER,
    REFRESH_AT,
    REFUSED_FOR,
    REPLACED_EVERY,
    SKEW,
    Cache,
    Instant,
    Kept,
    expires,
    this_instant,
)
from delegation.client.errors import (
    ActorTokenRejected,
    ClientRejected,
    DelegationError,
    InsufficientScope,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
    Unavailable,
)
from delegation.client.rfc8693 import IssuedToken
from delegation.client.wanted import Key
from tests.client.clock import HeldClock

LIFE = 300
KEY = Key(b"alice", b"", "https://calendar.example/api", "events.read", None)
TOKEN = IssuedToken(access_token="issued", expires_in=LIFE)
STOPPED = [
    SubjectTokenRejected("invalid_request", reason="subject_token_rejected"),
    ActorTokenRejected("invalid_request", reason="actor_token_rejected"),
    ClientRejected("unauthorized_client", reason="not_permitted"),
]
NOT_PERMITTED = [
    NotPermitted("invalid_target", reason="not_permitted"),
    NotPermitted("invalid_request", reason="not_permitted"),
    InsufficientScope("invalid_scope", reason="not_permitted", required_scope=("a",)),
]
SAYS_NOTHING = [
    Unavailable("later"),
    Refused("invalid_request", reason="malformed_request"),
    Refused("invalid_grant"),
    ClientRejected("invalid_client"),
]


@pytest.fixture(name="cache")
def _cache(clock: HeldClock) -> Iterator[Cache]:
    """One that knows a token since now."""
    cache = Cache(8)
    cache.learn(KEY, TOKEN, asked=clock(), now=clock())
    yield cache
    assert "issued" not in repr(cache)


def _outcome(cache: Cache, clock: HeldClock) -> object:
    kept = cache.find(KEY, clock())
    return None if kept is None else kept.outcome


def test_a_token_until_shortly_before_its_end(cache: Cache, clock: HeldClock) -> None:
    """It is used for its life but the skew, and not at the last moment of that."""
    clock.pass_by(LIFE - SKEW - 0.001)
    assert _outcome(cache, clock) is TOKEN

    clock.pass_by(0.001)
    assert _outcome(cache, clock) is None
    assert len(cache) == 0


@pytest.mark.parametrize("stands_still", ["monotonic", "wall"])
def test_either_clock_ends_it(cache: Cache, clock: HeldClock, stands_still: str) -> None:
    """The one stands still while a machine sleeps, the other when somebody sets it."""
    setattr(clock, stands_still, getattr(clock, stands_still) - LIFE)

    clock.pass_by(LIFE - SKEW)

    assert _outcome(cache, clock) is None


def test_the_way_counts(cache: Cache, clock: HeldClock) -> None:
    """Its life began before it was on its way: when it was asked for."""
    asked = clock()
    clock.pass_by(20)
    cache.learn(KEY, TOKEN, asked=asked, now=clock())

    clock.pass_by(LIFE - SKEW - 20)

    assert _outcome(cache, clock) is None


@pytest.mark.parametrize("lives", [SKEW - 5, SKEW, 0, -60])
def test_a_token_that_is_about_to_end(cache: Cache, clock: HeldClock, lives: float) -> None:
    """It is not kept, nor is what it replaced; by its own end, or that of the subject token."""
    cache.learn(KEY, IssuedToken(access_token="t", expires_in=lives), asked=clock(), now=clock())
    assert _outcome(cache, clock) is None

    cache.learn(KEY, TOKEN, asked=clock(), now=clock(), subject_expires=clock.wall + lives)
    assert _outcome(cache, clock) is None


def test_the_end_of_the_subject_token(cache: Cache, clock: HeldClock) -> None:
    """Nothing is used past it; and nothing that ends with it is replaced ahead, in vain."""
    cache.learn(KEY, TOKEN, asked=clock(), now=clock(), subject_expires=clock.wall + 100)

    clock.pass_by(100 - SKEW - 0.001)
    kept = cache.find(KEY, clock())
    assert kept is not None
    assert kept.refresh_at == math.inf

    clock.pass_by(0.001)
    assert _outcome(cache, clock) is None


def test_when_a_newer_one_is_due(cache: Cache, clock: HeldClock) -> None:
    """After four fifths of the time for which it is used."""
    kept = cache.find(KEY, clock())

    assert kept == Kept(
        TOKEN, clock().plus(LIFE - SKEW), clock.monotonic + REFRESH_AT * (LIFE - SKEW)
    )


@pytest.mark.parametrize("refused", NOT_PERMITTED, ids=str)
def test_what_is_not_permitted(cache: Cache, clock: HeldClock, refused: Refused) -> None:
    """It ends what was known, and is remembered for a while."""
    cache.learn(KEY, refused, asked=clock(), now=clock())

    clock.pass_by(REFUSED_FOR - 0.001)
    assert _outcome(cache, clock) is refused
    clock.pass_by(0.001)
    assert _outcome(cache, clock) is None


@pytest.mark.parametrize("refused", STOPPED, ids=str)
def test_what_was_stopped(cache: Cache, clock: HeldClock, refused: Refused) -> None:
    """A token whose parent is not accepted any more is not used either; nothing is remembered."""
    cache.learn(KEY, refused, asked=clock(), now=clock())

    assert _outcome(cache, clock) is None


@pytest.mark.parametrize("error", SAYS_NOTHING, ids=str)
def test_what_says_nothing_of_the_user(
    cache: Cache, clock: HeldClock, error: DelegationError
) -> None:
    """An outage is not remembered, and takes nothing away; a newer token is due a little later."""
    other = KEY._replace(subject=b"bob")

    cache.learn(KEY, error, asked=clock(), now=clock())
    cache.learn(other, error, asked=clock(), now=clock())

    kept = cache.find(KEY, clock())
    assert kept is not None
    assert kept.outcome is TOKEN
    assert kept.refresh_at == clock.monotonic + AGAIN_AFTER
    assert cache.find(other, clock()) is None


def test_an_outage_that_says_how_long(cache: Cache, clock: HeldClock) -> None:
    """Its wish counts, where it is to wait for longer."""
    for seconds, expected in ((60.0, 60.0), (1.0, AGAIN_AFTER)):
        error = Unavailable("later", retry_after=seconds)

        cache.learn(KEY, error, asked=clock(), now=clock())

        kept = cache.find(KEY, clock())
        assert kept is not None
        assert kept.refresh_at == clock.monotonic + expected


def test_a_rejected_token(cache: Cache, clock: HeldClock) -> None:
    """It is forgotten, and another is worth a try."""
    assert cache.reject(KEY, TOKEN, clock())

    assert _outcome(cache, clock) is None


def test_a_token_that_was_replaced_meanwhile(cache: Cache, clock: HeldClock) -> None:
    """What came since is left: it was not rejected."""
    newer = IssuedToken(access_token="newer", expires_in=LIFE)
    cache.learn(KEY, newer, asked=clock(), now=clock())

    assert cache.reject(KEY, TOKEN, clock())

    assert _outcome(cache, clock) is newer


def test_an_api_that_rejects_everything(cache: Cache, clock: HeldClock) -> None:
    """Not every call to it becomes an exchange: one every half a minute."""
    cache.reject(KEY, TOKEN, clock())
    newer = IssuedToken(access_token="newer", expires_in=LIFE)
    cache.learn(KEY, newer, asked=clock(), now=clock())

    clock.pass_by(REPLACED_EVERY - 0.001)
    assert not cache.reject(KEY, newer, clock())
    assert _outcome(cache, clock) is newer

    clock.pass_by(0.001)
    assert cache.reject(KEY, newer, clock())
    assert _outcome(cache, clock) is None


def test_the_least_recently_used_goes_first(clock: HeldClock) -> None:
    """There are never more than were said; what is used stays."""
    cache = Cache(2)
    first, second, third = (KEY._replace(scope=scope) for scope in "abc")
    for key in (first, second):
        cache.learn(key, TOKEN, asked=clock(), now=clock())

    cache.find(first, clock())
    cache.learn(third, TOKEN, asked=clock(), now=clock())

    assert len(cache) == 2
    assert [cache.find(key, clock()) is not None for key in (first, second, third)] == [
        True,
        False,
        True,
    ]


def test_forgetting(cache: Cache, clock: HeldClock) -> None:
    """Everything, also what was rejected lately."""
    cache.reject(KEY, TOKEN, clock())
    cache.learn(KEY, TOKEN, asked=clock(), now=clock())

    cache.clear()

    assert len(cache) == 0
    cache.learn(KEY, TOKEN, asked=clock(), now=clock())
    assert cache.reject(KEY, TOKEN, clock())


KEYS = st.builds(
    Key,
    subject=st.sampled_from([b"alice", b"bob"]),
    actor=st.sampled_from([b"", b"planner"]),
    resource=st.sampled_from(["https://a.example", "https://b.example"]),
    scope=st.sampled_from(["", "read", "read write"]),
    consent=st.sampled_from([None, "c-1"]),
)
SECONDS = st.floats(0, 1000)


class Model(RuleBasedStateMachine):
    """Whatever happens in whatever order, what is found belongs to its key and still holds."""

    SIZE = 5

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(self.SIZE)
        self.clock = HeldClock()
        self.notes: list[tuple[Key, object, Instant]] = []

    @rule(key=KEYS, expires_in=SECONDS, subject=SECONDS, way=st.floats(0, 30))
    def issue(self, key: Key, expires_in: float, subject: float, way: float) -> None:
        """The service issues a token, after some time."""
        asked = self.clock()
        self.clock.pass_by(way)
        token = IssuedToken(access_token="t", expires_in=expires_in)
        self.cache.learn(
            key, token, asked=asked, now=self.clock(), subject_expires=asked.wall + subject
        )
        self.notes.append((key, token, asked.plus(min(expires_in, subject) - SKEW)))

    @rule(key=KEYS, error=st.sampled_from(NOT_PERMITTED + STOPPED + SAYS_NOTHING))
    def fail(self, key: Key, error: DelegationError) -> None:
        """The service refuses, or cannot be asked."""
        before = self.cache.find(key, self.clock())
        self.cache.learn(key, error, asked=self.clock(), now=self.clock())
        after = self.cache.find(key, self.clock())
        if isinstance(error, NotPermitted):
            assert after is not None
            assert after.outcome is error
            self.notes.append((key, error, self.clock().plus(REFUSED_FOR)))
        elif error in SAYS_NOTHING:
            assert after is before
        else:
            assert after is None

    @rule(key=KEYS)
    def reject(self, key: Key) -> None:
        """An API rejects what was found."""
        kept = self.cache.find(key, self.clock())
        if (
            kept is not None
            and isinstance(kept.outcome, IssuedToken)
            and self.cache.reject(key, kept.outcome, self.clock())
        ):
            assert self.cache.find(key, self.clock()) is None

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.clock.pass_by(seconds)

    @rule(seconds=st.floats(-100, 1000))
    def set_the_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock, or the machine sleeps."""
        self.clock.wall += seconds

    @rule(key=KEYS)
    def find(self, key: Key) -> None:
        """It is that key's own, and in time on both clocks."""
        kept = self.cache.find(key, self.clock())
        assert kept is None or any(
            owner == key and outcome is kept.outcome and self.clock().is_before(end)
            for owner, outcome, end in self.notes
        )

    @invariant()
    def is_bounded(self) -> None:
        """There are never more than may be."""
        assert len(self.cache) <= self.SIZE


TestModel = Model.TestCase
TestModel.settings = settings(stateful_step_count=12)


def _jwt(payload: bytes) -> str:
    encoded = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    return f"eyJhbGciOiJFUzI1NiJ9.{encoded}.c2lnbmF0dXJl"


@pytest.mark.parametrize("moment", [0, 1_800_000_300, 1_800_000_300.5, -5])
def test_the_end_of_a_token(moment: float) -> None:
    """It stands in the token, which is not verified: whoever lies about it is used for less."""
    assert expires(_jwt(json.dumps({"exp": moment}).encode())) == moment


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "two.parts",
        "a.b.c.d.e",
        "a.%.c",
        _jwt(b"no json"),
        _jwt(b"\xff"),
        _jwt(b"[]"),
        _jwt(b"{}"),
        _jwt(b"[" * 100_000),
        _jwt(b'{"exp": "1800000300"}'),
        _jwt(b'{"exp": true}'),
        _jwt(b'{"exp": null}'),
        _jwt(b'{"exp": NaN}'),
        _jwt(b'{"exp": Infinity}'),
    ],
    ids=range(14),
)
def test_a_token_that_does_not_say(token: str) -> None:
    """Then only the answer says for how long what it was exchanged for holds."""
    assert expires(token) >= 1 << 53


def test_a_token_that_lives_for_ages() -> None:
    """A number may be larger than any float."""
    assert expires(_jwt(b'{"exp": 1' + b"0" * 400 + b"}")) == 1 << 53
    assert expires(_jwt(b'{"exp": -1' + b"0" * 400 + b"}")) == -1 << 53


@given(st.text())
def test_any_token(token: str) -> None:
    """Whatever it is, nothing is raised."""
    assert not math.isnan(expires(token))


def test_now() -> None:
    """Both clocks go on."""
    assert this_instant().is_before(this_instant().plus(60))
