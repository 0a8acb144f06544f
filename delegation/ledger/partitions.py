"""Where things are: the partition of each thing, the names of its keys, and ids that tell it."""

import hashlib
import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from os import urandom

from delegation.domain.locks import Kind, Target
from delegation.domain.parties import Identity

_LOCAL = frozenset({Kind.SUBJECT, Kind.PAIR, Kind.EXCHANGE})
"""Locks that concern one root identity, and are therefore written to its partition alone."""


_REMEMBERED = 8192
"""Fingerprints that a worker keeps: most of an exchange's are those of the exchange before."""

_ROOT = 4
"""Bytes of a root identity's fingerprint in the list of what is live: others are seldom like it."""

# Of base64url (RFC 4648 §5), in place of base64.
_WRITTEN, _READ = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")

_EXCHANGE = re.compile(r"(0|[1-9][0-9]{0,8})-[A-Za-z0-9_-]{22}", re.ASCII)
"""The one form that our ids have; only such an id is ever put into a key as it is."""


@dataclass(frozen=True)
class Partition:
    """One partition; its number is a hash tag, so that on a cluster its keys share a slot.

    What came from outside is only ever part of a key as a digest, or as an id of ours by its form.
    """

    number: int

    @cached_property
    def layout(self) -> str:
        """Version, number of partitions, epoch, and the counters."""
        return self._key("layout")

    @cached_property
    def locks(self) -> str:
        """For each target its standing locks and latest ends."""
        return self._key("locks")

    @cached_property
    def lock_book(self) -> str:
        """For each lock what it is, in words."""
        return self._key("lockbook")

    @cached_property
    def events(self) -> str:
        """The undrained events of exchanges and administrative acts."""
        return self._key("events")

    @cached_property
    def refusals(self) -> str:
        """The undrained events of refusals, which cannot starve the others."""
        return self._key("refusals")

    @cached_property
    def caps(self) -> str:
        """How many refusals of each client were written in its last minute."""
        return self._key("caps")

    @cached_property
    def alarms(self) -> str:
        """The latest alarms, and no more of them than people look at."""
        return self._key("alarms")

    @cached_property
    def alarm_counts(self) -> str:
        """How many alarms of each cause there have been."""
        return self._key("alarmcounts")

    @cached_property
    def workers(self) -> str:
        """What the workers say of themselves; in one partition for all."""
        return self._key("workers")

    def record(self, exchange: str) -> str:
        """The record of one exchange."""
        return self._key("x", exchange)

    @cached_property
    def live(self) -> str:
        """The exchanges that have not expired, each as its `entry`."""
        return self._key("live")

    def once(self, grant: str, issuer: str, token: str) -> str:
        """Whether a token that may be used once under *grant* was."""
        return self._key("once", digest(grant, issuer, token).hex())

    def claim(self, owner: str, artefact: str) -> str:
        """Whether a one-time id was taken."""
        return self._key("claim", digest(owner, artefact).hex())

    def rate(self, *names: str) -> str:
        """What was used of a rate, or that something was counted against it."""
        return self._key("rate", digest(*names).hex())

    def id_of(self, bits: bytes) -> str:
        """The id that has these bits."""
        written = b2a_base64(bits, newline=False).translate(_WRITTEN)
        return f"{self.number}-{written.rstrip(b'=').decode()}"

    def _key(self, *names: str) -> str:
        return f"dlg:{{{self.number}}}:{':'.join(names)}"


@cache
def _partition(number: int) -> Partition:
    """The one of this number, which knows the names of its keys."""
    return Partition(number)


@dataclass(frozen=True, slots=True)
class Partitions:
    """All partitions; *count* is part of the layout and never changes."""

    count: int

    def all(self) -> tuple[Partition, ...]:
        """Every partition, by number."""
        return tuple(map(_partition, range(self.count)))

    def of(self, root: Identity) -> Partition:
        """Where everything about one root identity lives."""
        return _of(self.count, root.issuer, root.subject)

    def of_client(self, client: str) -> Partition:
        """Where the refusals of one client live: its subject may not be known."""
        return _of(self.count, client)

    def of_artefact(self, owner: str, artefact: str) -> Partition:
        """Where a one-time id is claimed."""
        return _of(self.count, owner, artefact)

    def of_exchange(self, exchange: str) -> Partition | None:
        """Where the record of an exchange lives, by its id; `None` if that is none of ours."""
        found = _EXCHANGE.fullmatch(exchange)
        if found is None or int(found[1]) >= self.count:
            return None
        return _partition(int(found[1]))

    def of_lock(self, target: Target) -> tuple[Partition, ...]:
        """Where a lock has to stand: in one partition if it concerns one person, else in all.

        Raises `ValueError` where the target is an exchange whose id is none of ours: a lock that
        stands nowhere must not pass for one.
        """
        if target.kind not in _LOCAL:
            return self.all()
        if target.kind is Kind.EXCHANGE:
            partition = self.of_exchange(target.names[0])
            if partition is None:
                raise ValueError("not the id of an exchange of ours")
            return (partition,)
        issuer, subject, *_ = target.names
        return (self.of(Identity(issuer, subject)),)

    def new_id(self, partition: Partition, *, key: str | None = None) -> str:
        """An unguessable id of 128 bits that begins with its partition; or that of a *key*."""
        bits = urandom(16) if key is None else digest(key)[:16]
        return partition.id_of(bits)

    def placed(self, lock: str, target: Target) -> str:
        """The id of a *lock* on *target* that may come from another number of partitions.

        It keeps its bits, and begins with its place here. Raises `ValueError` as `of_lock` does.
        """
        return f"{self.of_lock(target)[0].number}-{lock.partition('-')[2]}"


@lru_cache(_REMEMBERED)
def _of(count: int, *names: str) -> Partition:
    return _partition(int.from_bytes(digest(*names)[:8]) % count)


def digest(*names: str) -> bytes:
    """SHA-256 over *names*, told apart by their lengths."""
    parts = [len(part).to_bytes(4) + part for part in map(str.encode, names)]
    return hashlib.sha256(b"".join(parts)).digest()


def entry(root: Identity, exchange: str) -> bytes:
    """How an exchange stands in the list of what is live: whose it may be, and its id's bits."""
    return mark(root) + a2b_base64(exchange[-22:].encode().translate(_READ) + b"==")


def bits(entry: bytes) -> bytes:
    """Those of the id that stands in an entry."""
    return entry[_ROOT:]


def mark(root: Identity) -> bytes:
    """With what the entries of a root identity begin; now and then another's, too."""
    return fingerprint(Target.subject(root))[:_ROOT]


@lru_cache(_REMEMBERED)
def fingerprint(target: Target) -> bytes:
    """The 16 bytes by which the script knows a target."""
    return digest(target.kind, *target.names)[:16]
