"""Many at once, in threads and in processes: one wins, and every event has its own number."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.parties import ALICE
from tests.valkey import CONTENDERS, PARTITIONS, race, url_of

ONE_WINS = {
    "claim": ["already_used"] * 19 + ["taken"],
    "record once": ["already_used"] * 19 + ["recorded"],
    "record": ["recorded"] * 20,
}


@pytest.fixture(name="in_threads")
def _in_threads(ledger):
    """Twenty threads of this process."""

    def in_threads(contender):
        with ThreadPoolExecutor(20) as pool:
            return list(pool.map(lambda _: CONTENDERS[contender](ledger), range(20)))

    return in_threads


@pytest.fixture(name="in_processes")
def _in_processes(valkey):
    """Five threads in each of four processes."""
    return lambda contender: race(contender, url_of(valkey))


@pytest.mark.standard("7523-3")
@pytest.mark.parametrize("contender", ONE_WINS)
@pytest.mark.parametrize("crowd", ["in_threads", "in_processes"])
def test_a_crowd(request, raw, evidence, crowd, contender):
    """Of twenty at once exactly one takes an id, exactly one uses a token that can be used once;
    and twenty exchanges for one person have the events 1 to 20.
    """
    for partition in PARTITIONS.all():
        raw.hset(partition.layout, "born", 0)

    answers = request.getfixturevalue(crowd)(contender)

    assert sorted(answers) == ONE_WINS[contender]
    events = evidence.read(PARTITIONS.of(ALICE).number, "events", count=100)
    assert [event.number for event in events] == list(range(1, answers.count("recorded") + 1))
