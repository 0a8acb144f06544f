"""`take` and `usage`: all rates in one step, never more than the amount in any window."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from secrets import token_hex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delegation.domain.errors import Cause, Reason, TooManyExchanges, Unavailable
from delegation.domain.parties import Identity
from delegation.domain.rates import Per, Rate, Usage
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import ALICE, CALENDAR_MCP, LOGIN, a_case, a_delegation, a_verified_token
from tests.valkey import PARTITIONS, now_in_milliseconds, race, snapshot, url_of

HOME = PARTITIONS.of_client(CALENDAR_MCP)
MINUTE, DAY = 60_000, 86_400_000
PART = MINUTE // 20
BOB = Identity(LOGIN, "bob")

DELEGATION = a_delegation()
"""An exchange of *calendar-mcp* for Alice."""
FOR_BOB = a_delegation(subject=a_verified_token(subject=BOB))


class Line:
    """A quota at whose store the time is told, beginning with that of the *moment*."""

    def __init__(self, store, raw, rates):
        self.quota, self._raw = RedisQuota(store, rates), raw
        # In time to come, where it is told by the layout alone; at the beginning of all parts.
        self.start = (now_in_milliseconds() // DAY + 2) * DAY
        self.wait(0)

    def wait(self, milliseconds):
        """Let it be so long after the beginning."""
        self._raw.hset(HOME.layout, "clock", self.start + milliseconds)

    def take(self, delegation=DELEGATION, nonce=None):
        """The refusal, if there is one."""
        try:
            self.quota.take(delegation, a_case(nonce=nonce or token_hex(8)))
        except TooManyExchanges as refused:
            return refused
        return None

    def takes(self, times, delegation=DELEGATION):
        """Of so many attempts, how many are counted."""
        return [self.take(delegation) for _ in range(times)].count(None)

    def used(self, **named):
        """What is used, by what it counts."""
        return {one.per: one.used for one in self.quota.usage(CALENDAR_MCP, **named)}


@pytest.fixture(name="line")
def _line(store, raw):
    """A client may make three exchanges in a minute, of which two for one subject."""
    rates = {Per.CLIENT: [Rate(3, 60)], Per.CLIENT_AND_SUBJECT: [Rate(2, 60)]}
    return Line(store, raw, rates)


def with_rate(store, raw, *rates, per=Per.CLIENT):
    """A line with nothing but these."""
    return Line(store, raw, {per: rates})


def test_as_many_as_it_says(store, raw):
    """The amount is counted, and one more is refused: try again when something is left."""
    line = with_rate(store, raw, Rate(3, 60))

    assert line.takes(3) == 3
    refused = line.take()

    assert (refused.cause, refused.reason) == (Cause.LIMIT_PER_CLIENT, Reason.RATE_LIMITED)
    assert refused.detail == {"limit": "3 in 60 seconds"}
    assert refused.retry_after == 63


def test_what_was_used_comes_back_with_its_twentieth(store, raw):
    """A window and a twentieth after it began, and not a millisecond before."""
    line = with_rate(store, raw, Rate(3, 60))
    line.wait(10 * PART - 1)
    assert line.takes(2) == 2
    line.wait(10 * PART)
    assert line.takes(5) == 1

    line.wait(9 * PART + MINUTE + PART - 1)
    assert line.take().retry_after == 1
    line.wait(9 * PART + MINUTE + PART)
    assert line.takes(5) == 2
    line.wait(9 * PART + MINUTE + 2 * PART)
    assert line.takes(5) == 1


SECONDS = st.integers(1, 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amount=st.integers(1, 4),
    seconds=SECONDS,
    pauses=st.lists(st.integers(0, 900), min_size=1, max_size=25),
)
def test_never_more_than_the_amount_in_any_window(store, raw, amount, seconds, pauses):
    """However attempts fall; and who waits as long as told gets something."""
    raw.delete(*raw.keys("dlg:*:rate:*"), "none")
    line = with_rate(store, raw, Rate(amount, seconds))
    window, now, counted, refused = seconds * 1000, 0, [], None
    for pause in pauses:
        now += pause
        line.wait(now)
        refused = line.take()
        if refused is None:
            counted.append(now)

    assert all(sum(begin <= one < begin + window for one in counted) <= amount for begin in counted)
    if refused is not None:
        # Not before something can be left, and not much later than all that counts is over.
        line.wait(now + refused.retry_after * 1000)
        assert line.take() is None
        assert counted[-amount] + window <= now + refused.retry_after * 1000
        assert refused.retry_after * 1000 < counted[-amount] + window * 1.05 - now + 1000


def test_several_rates_of_one_thing(store, raw):
    """Each counts: the shorter one holds a burst, the longer one the day."""
    line = with_rate(store, raw, Rate(2, 1), Rate(3, 86_400))

    assert line.takes(3) == 2
    assert line.take().retry_after == 2
    line.wait(1050)
    assert line.takes(3) == 1
    refused = line.take()

    assert refused.detail == {"limit": "3 in 86400 seconds"}
    assert refused.retry_after == 86_400 * 1.05 - 1


def test_where_one_is_used_up_none_is_counted(line):
    """All rates are looked at before any is written."""
    assert line.takes(5) == 2
    refused = line.take()

    assert refused.cause is Cause.LIMIT_PER_CLIENT_AND_SUBJECT
    assert line.used(subject=ALICE) == {Per.CLIENT: 2, Per.CLIENT_AND_SUBJECT: 2}
    assert line.takes(5, FOR_BOB) == 1


def test_where_several_are_used_up_the_last_to_have_something_left_is_named(store, raw):
    """Who comes back by then is not sent away by another."""
    line = Line(store, raw, {Per.CLIENT: [Rate(1, 3600)], Per.GRANT: [Rate(1, 60)]})
    line.take()

    refused = line.take()

    assert (refused.cause, refused.retry_after) == (Cause.LIMIT_PER_CLIENT, 3780)


def test_one_client_uses_nothing_up_for_others(store, raw):
    """Not of the same subject, and not under the same grant: each client has its own."""
    rates = {per: [Rate(1, 60)] for per in Per}
    other = RedisQuota(store, rates)
    line = Line(store, raw, rates)
    assert line.takes(5) == 1

    neighbours = [name for name in map("mcp-{}".format, range(200)) if is_near(name)][:2]
    for name in neighbours:
        other.take(of_client(name), a_case(nonce=token_hex(8)))

    assert len(neighbours) == 2
    used = {one.used for one in other.usage(neighbours[0], subject=ALICE, grant=DELEGATION.grant)}
    assert used == {1}


def is_near(client):
    """Whether a client is counted in the same partition."""
    return PARTITIONS.of_client(client) == HOME


def of_client(name):
    """The same exchange of another client."""
    return replace(DELEGATION, client=name)


def test_a_grant_is_counted_over_all_subjects(store, raw):
    """Of one client."""
    line = with_rate(store, raw, Rate(2, 60), per=Per.GRANT)

    assert [line.take(one) is None for one in (DELEGATION, FOR_BOB, FOR_BOB)] == [True, True, False]
    assert line.take().cause is Cause.LIMIT_PER_GRANT


def test_a_grant_may_have_rates_of_its_own(store, raw):
    """Besides those of all grants: of each time the least holds, and is counted once."""
    line = with_rate(store, raw, Rate(3, 60), Rate(100, 3600), per=Per.GRANT)
    strict = replace(DELEGATION, rates=(Rate(2, 60), Rate(5, 86_400)))
    lenient = replace(DELEGATION, rates=(Rate(50, 60),))

    assert line.takes(5, strict) == 2
    assert line.takes(5, lenient) == 1
    assert line.takes(5) == 0

    shown = line.quota.usage(CALENDAR_MCP, grant=DELEGATION.grant, rates=strict.rates)
    assert [(one.rate, one.used) for one in shown] == [
        (Rate(2, 60), 3),
        (Rate(100, 3600), 3),
        (Rate(5, 86_400), 2),
    ]


def test_a_grant_may_be_the_only_one_that_is_limited(store, raw):
    """Then all else asks nothing of the store."""
    line = Line(store, raw, {})
    raw.config_resetstat()

    assert line.takes(5) == 5
    assert "cmdstat_evalsha" not in raw.info("commandstats")
    assert line.takes(5, replace(DELEGATION, rates=(Rate(1, 60),))) == 1


def test_the_same_request_is_counted_once(line):
    """Its reply may have been lost; another request is another one."""
    for _ in range(3):
        assert line.take(nonce="the same") is None

    assert line.used() == {Per.CLIENT: 1}
    assert line.takes(5) == 1


def test_a_lost_reply(line, store, raw, proxy):
    """It is asked for again, and counted once."""
    server = Server(proxy.url, timeout=2)
    line.quota = RedisQuota(Store(server, PARTITIONS), {Per.CLIENT: [Rate(3, 60)]})
    line.take()
    proxy.cuts = 1

    assert line.take() is None

    server.close()
    assert proxy.cuts == 0
    assert line_of(store, raw).used() == {Per.CLIENT: 2}


def line_of(store, raw):
    """Another one at the same store, by its own time."""
    return with_rate(store, raw, Rate(3, 60))


def test_looking_counts_nothing(line, raw):
    """It says what there is, and leaves all as it was."""
    line.takes(2)
    before = snapshot(raw)

    found = line.quota.usage(CALENDAR_MCP, subject=ALICE)

    assert found == [
        Usage(per=Per.CLIENT, rate=Rate(3, 60), used=2, resets_at=line.start + MINUTE + PART),
        Usage(
            per=Per.CLIENT_AND_SUBJECT,
            rate=Rate(2, 60),
            used=2,
            resets_at=line.start + MINUTE + PART,
        ),
    ]
    assert snapshot(raw) == before


def test_what_is_not_used(line):
    """Nothing, and nothing to wait for; what was used is nothing again when it is over."""
    assert [(one.used, one.resets_at) for one in line.quota.usage("x")] == [(0, None)]
    line.take()

    line.wait(MINUTE + PART)

    assert [(one.used, one.resets_at) for one in line.quota.usage(CALENDAR_MCP)] == [(0, None)]


def test_only_what_is_named_is_shown(store, raw):
    """A rate that counts something else says nothing."""
    line = Line(store, raw, {per: [Rate(1, 60)] for per in Per})

    assert set(line.used()) == {Per.CLIENT}
    assert set(line.used(subject=BOB)) == {Per.CLIENT, Per.CLIENT_AND_SUBJECT}
    assert set(line.used(grant="g")) == {Per.CLIENT, Per.GRANT}
    assert RedisQuota(store, {}).usage(CALENDAR_MCP, subject=BOB, grant="g") == []


def test_another_amount_does_not_begin_anew(store, raw):
    """What was used counts against the new one; another window is counted by itself."""
    with_rate(store, raw, Rate(5, 60)).takes(5)
    lowered = with_rate(store, raw, Rate(2, 60))

    assert lowered.used() == {Per.CLIENT: 5}
    assert lowered.take().retry_after == 63
    assert with_rate(store, raw, Rate(2, 120)).takes(5) == 2


def test_a_clock_that_goes_back_forgets_nothing(store, raw):
    """What was used is used, until the clock has come further than it was."""
    line = with_rate(store, raw, Rate(2, 60))
    line.wait(40 * PART)
    assert line.takes(1) == 1

    line.wait(0)

    assert line.takes(5) == 1
    assert line.take().retry_after == (40 + 21) * PART // 1000


def test_keys_hold_nobody_s_name_and_end(line, raw):
    """A digest each, in the partition of the client; none stays when nothing counts any more."""
    line.takes(2)

    keys = raw.keys("dlg:*:rate:*")

    assert len(keys) == 4  # two attempts, and a counter for each rate
    assert all(re.fullmatch(rb"dlg:\{%d\}:rate:[0-9a-f]{64}" % HOME.number, key) for key in keys)
    ends = sorted(raw.pexpiretime(key) for key in keys)
    assert ends[0] <= ends[1] <= now_in_milliseconds() + 10_000
    assert ends[2:] == [line.start + MINUTE + PART] * 2


def test_a_counter_is_small(store, raw):
    """However much is used, and whenever: it holds no times, but counts."""
    line = with_rate(store, raw, Rate(1000, 60))
    for part in range(40):
        line.wait(part * PART)
        line.takes(3)

    [size] = filter(None, map(raw.strlen, raw.keys("dlg:*:rate:*")))
    assert size <= 40


def test_it_is_one_round_trip(line, raw):
    """One script by its digest, for all rates, and no other command."""
    line.take()
    raw.config_resetstat()

    line.take()

    stats = raw.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert not {"cmdstat_eval", "cmdstat_script|load"} & stats.keys()


def test_nothing_is_counted_where_the_store_is_not_believed(line, raw):
    """A store that was emptied is not one in which nothing was used."""
    raw.flushall()

    with pytest.raises(Unavailable, match="no_layout"):
        line.take()
    with pytest.raises(Unavailable, match="no_layout"):
        line.quota.usage(CALENDAR_MCP)

    assert raw.keys() == []


def test_nobody_answers():
    """Then there is no answer, either."""
    server = Server("unix:///nowhere/at/all", timeout=1)
    quota = RedisQuota(Store(server, PARTITIONS), {Per.CLIENT: [Rate(1, 60)]})

    with pytest.raises(Unavailable, match="ledger_unreachable"):
        quota.take(DELEGATION, a_case())


def test_of_many_at_once_as_many_as_there_are_left(store, raw):
    """Twenty threads for seven, and for one subject for five of these."""
    rates = {Per.CLIENT: [Rate(7, 60)], Per.CLIENT_AND_SUBJECT: [Rate(5, 60)]}
    line = Line(store, raw, rates)

    with ThreadPoolExecutor(20) as pool:
        refused = [*pool.map(lambda _: line.take(), range(20))]
        others = [*pool.map(lambda _: line.take(FOR_BOB), range(20))]

    assert (refused.count(None), others.count(None)) == (5, 2)
    assert line.used(subject=BOB) == {Per.CLIENT: 7, Per.CLIENT_AND_SUBJECT: 2}


def test_processes_share_what_there_is(store, valkey):  # noqa: ARG001
    """Ten threads in each of two processes, for the last one."""
    answers = race("take", url_of(valkey), processes=2, threads=10)

    assert sorted(answers) == ["limit_per_client"] * 19 + ["taken"]
