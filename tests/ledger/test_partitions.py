"""Where things are: names that cannot be confused, and that tell nothing."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.ledger.partitions import (
    Partition,
    Partitions,
    bits,
    digest,
    entry,
    fingerprint,
    mark,
)
from tests.parties import ALICE, LOGIN
from tests.strategies import locks_and_lineages

NAMES = st.lists(st.text(max_size=8), max_size=4)


@given(NAMES, NAMES)
def test_a_digest_is_of_one_list_of_names(some, others):
    """However names are cut and joined, two lists have two digests."""
    assume(some != others)

    assert digest(*some) != digest(*others)


@given(st.text(), st.text(), st.integers(0, 20))
def test_a_digest_knows_where_a_name_ends(first, second, cut):
    """Moving the border between two names moves the digest."""
    joined = first + second
    assume(cut <= len(joined) and cut != len(first))

    assert digest(first, second) != digest(joined[:cut], joined[cut:])


@given(st.integers(1, 4096), st.text(), st.text())
def test_an_id_leads_back_to_its_partition(count, issuer, subject):
    """Whoever has an id of ours knows where its record is."""
    partitions = Partitions(count)
    partition = partitions.of(Identity(issuer, subject))

    assert partitions.of_exchange(partitions.new_id(partition)) == partition
    assert partition in partitions.all()


@given(st.integers(1, 4096), st.text(), st.text())
def test_an_entry_tells_its_id_and_whose_it_may_be(count, issuer, subject):
    """In 20 bytes: where its partition is known, the rest of the id is enough."""
    partitions, root = Partitions(count), Identity(issuer, subject)
    partition = partitions.of(root)
    exchange = partitions.new_id(partition)

    found = entry(root, exchange)

    assert len(found) == 20
    assert found.startswith(mark(root))
    assert partition.id_of(bits(found)) == exchange


@given(st.text() | st.from_regex(r"\d+-.*"))
def test_any_other_text_leads_nowhere(text):
    """Only the form that we make is an id of ours; nothing else is ever looked for."""
    found = Partitions(64).of_exchange(text)

    assert found is None or re.fullmatch(r"[0-9]{1,2}-[A-Za-z0-9_-]{22}", text)


@given(number=st.integers(0, 63), names=st.lists(st.text(), min_size=3, max_size=3))
def test_every_key_has_the_tag_of_its_partition_and_tells_no_name(number, names):
    """One slot on a cluster; and of what came from outside only a digest."""
    partition = Partition(number)
    keys = [
        partition.layout,
        partition.locks,
        partition.lock_book,
        partition.events,
        partition.refusals,
        partition.caps,
        partition.alarms,
        partition.alarm_counts,
        partition.workers,
        partition.live,
        partition.record(Partitions(64).new_id(partition)),
        partition.once(*names),
        partition.claim(*names[:2]),
    ]

    assert {re.match(r"[^{]*\{([^}]*)\}", key)[1] for key in keys} == {str(number)}
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"dlg:\{\d+\}:[A-Za-z0-9:_-]+", key) for key in keys)
    assert all(re.search(r":[0-9a-f]{64}$", key) for key in keys[-2:])


@given(locks_and_lineages())
def test_two_targets_have_two_fingerprints(world):
    """The script tells targets apart by sixteen bytes each."""
    lineage, locks, _ = world
    targets = {lock.target for lock in locks}.union(*(link.targets for link in lineage))

    assert len({fingerprint(target) for target in targets}) == len(targets)
    assert {len(fingerprint(target)) for target in targets} == {16}


def test_a_fingerprint_knows_its_kind():
    """A client, a grant and a resource of one name are three targets."""
    kinds = [Target.client("x"), Target.grant("x"), Target.resource("x"), Target.issuer("x")]
    pairs = [Target.subject(ALICE), Target.agent(ALICE), Target.token(LOGIN, "alice")]

    assert len({fingerprint(target) for target in kinds + pairs}) == 7
