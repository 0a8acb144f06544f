"""The script's `dead` is the domain's `dead`, in every world that can be drawn."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delegation.domain.locks import EVERYTHING, Link, Lock, dead
from delegation.ledger.partitions import Partition, fingerprint
from delegation.ledger.scripts import Script, script
from delegation.ledger.store import LAYOUT_VERSION
from tests.strategies import EPOCH, locks_and_lineages

ENTER_AND_ASK = """
local function bytes(hex)
  return (string.gsub(hex, '..', function(pair) return string.char(tonumber(pair, 16)) end))
end

local world, entries = cjson.decode(ARGV[5]), {}
local lineage = lineage_of('', {})
for place, link in ipairs(world.lineage) do
  lineage.links[place] = link_in(lineage, bytes(link.t), link.a, link.f and link.l or nil)
end
for _, lock in ipairs(world.locks) do
  local target = bytes(lock.target)
  local entry = entries[target] or {standing = {}}
  if lock.entered_at then
    enter(entry, lock.id, lock, lock.entered_at)
  else
    entry.standing[lock.id] = lock
  end
  entries[target] = entry
end

redis.call('DEL', KEYS[2])
for target, entry in pairs(entries) do
  redis.call('HSET', KEYS[2], target, cmsgpack.pack(entry))
end
return dead(lineage, KEYS[2], world.now)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A lineage, locks, each with when it was entered (`None`: as it was given), and the time."""

    lineage: list[Link]
    locks: list[tuple[Lock, int | None]]
    now: int

    def as_json(self) -> str:
        """What the script reads."""
        return json.dumps(
            {
                "now": self.now,
                "lineage": [
                    {
                        "t": b"".join(map(fingerprint, link.targets)).hex(),
                        "a": link.issued_at,
                        "f": link.is_foreign,
                        "l": link.logged_in_at,
                    }
                    for link in self.lineage
                ],
                "locks": [_lock(lock, entered_at) for lock, entered_at in self.locks],
            }
        )


def _lock(lock: Lock, entered_at: int | None) -> dict[str, object]:
    fields = {
        "id": lock.id,
        "target": fingerprint(lock.target).hex(),
        "b": lock.begins_at,
        "e": lock.ends_at,
        "p": lock.parents,
        "l": lock.since_login,
        "entered_at": entered_at,
    }
    return {name: value for name, value in fields.items() if value is not None}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Worlds in which a lock stands as it was given, or was folded at some time until now."""
    lineage, locks, now = draw(locks_and_lineages())
    times = st.none() | st.integers(now - 6, now)
    return World(lineage=lineage, locks=[(lock, draw(times)) for lock in locks], now=now)


@pytest.fixture(name="ask", scope="module")
def _ask(valkey_process):
    """Ask the script, composed of the parts that `record` and `describe` are made of."""
    import redis  # noqa: PLC0415, a connection of the module's own

    parts: Script = script("layout", "locks")
    partition = Partition(0)
    with redis.Redis.from_url(f"unix://{valkey_process.unix_socket_path}") as client:
        run = client.register_script(parts.source + ENTER_AND_ASK)
        keys = [partition.layout, partition.locks]
        yield lambda world: run(keys=keys, args=[LAYOUT_VERSION, 8, b"", 0, world.as_json()])


def agrees(ask, world: World) -> None:
    """The script and the definition say the same, and the script says why."""
    locks = [lock for lock, _ in world.locks]
    stands = any(
        lock.stands(world.now) and lock.target in link.targets
        for lock in locks
        for link in world.lineage
    )
    is_dead = dead(world.lineage, locks, world.now)
    expected = (b"locked" if stands else b"lineage_dead") if is_dead else None

    assert ask(world) == expected


FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.standard("7009-4")
@given(world=worlds())
@settings(max_examples=200, suppress_health_check=FIXTURES)
def test_the_script_means_what_the_domain_means(ask, world):
    """Dead or alive, and whether by a standing lock, at any time."""
    agrees(ask, world)


BOUNDARIES = {
    "issued at the end": {"link": {"issued_at": EPOCH}, "ends": [0]},
    "issued after the end": {"link": {"issued_at": EPOCH + 1}, "ends": [0]},
    "issued before the later of two ends": {"link": {"issued_at": EPOCH}, "ends": [1, -1]},
    "issued between two ends": {"link": {"issued_at": EPOCH}, "ends": [-1, 1]},
    "foreign, issued at the end": {
        "link": {"issued_at": EPOCH, "is_foreign": True, "logged_in_at": EPOCH + 1},
        "ends": [0],
    },
    "foreign, logged in at the end": {
        "link": {"issued_at": EPOCH + 1, "is_foreign": True, "logged_in_at": EPOCH},
        "ends": [0],
    },
    "foreign, logged in after the end": {
        "link": {"issued_at": EPOCH + 1, "is_foreign": True, "logged_in_at": EPOCH + 1},
        "ends": [0],
    },
    "foreign, issued before the later of two ends": {
        "link": {"issued_at": EPOCH, "is_foreign": True, "logged_in_at": EPOCH + 9},
        "ends": [1, -1],
    },
    "foreign, logged in before the later of two ends": {
        "link": {"issued_at": EPOCH + 9, "is_foreign": True, "logged_in_at": EPOCH},
        "ends": [1, -1],
    },
    "ends now": {"link": {"issued_at": EPOCH + 5}, "ends": [5]},
    "ends next": {"link": {"issued_at": EPOCH + 5}, "ends": [6]},
}


@pytest.mark.parametrize("parents", [False, True], ids=["ours", "parents"])
@pytest.mark.parametrize("since_login", [False, True], ids=["issue", "login"])
@pytest.mark.parametrize("entered", [None, -2, 0, 5], ids=["as given", "early", "then", "late"])
@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
def test_the_script_draws_its_lines_where_the_domain_does(
    ask, boundary, entered, since_login, parents
):
    """At each limit and one millisecond beside it, however the locks came in."""
    locks = [
        Lock(
            id=f"lock-{position}",
            target=EVERYTHING,
            begins_at=EPOCH - 10,
            ends_at=EPOCH + end,
            parents=parents,
            since_login=since_login,
        )
        for position, end in enumerate(boundary["ends"])
    ]
    link = Link(targets=frozenset({EVERYTHING}), **boundary["link"])
    entered_at = None if entered is None else EPOCH + entered

    agrees(
        ask,
        World(lineage=[link], locks=[(lock, entered_at) for lock in locks], now=EPOCH + 5),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(world=worlds())
@settings(max_examples=10_000, derandomize=False, suppress_health_check=FIXTURES)
def test_the_script_means_what_the_domain_means_at_length(ask, world):
    """The same, in ten thousand other worlds."""
    agrees(ask, world)
