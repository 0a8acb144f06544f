"""Where things are: the partition of each thing, the names of its keys, and ids that tell it."""

import hashlib
import secrets
from dataclasses import dataclass

from delegation.domain.locks import Kind, Target
from delegation.domain.parties import Identity

_LOCAL = frozenset({Kind.SUBJECT, Kind.PAIR, Kind.EXCHANGE})
"""Locks that concern one root identity, and are therefore written to its partition alone."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; its number is a hash tag, so that on a cluster its keys share a slot.

    What came from outside is only ever part of a key as a digest.
    """

    number: int

    @property
    def layout(self) -> str:
        """Version, number of partitions, epoch, and the counters."""
        return self._key("layout")

    @property
    def locks(self) -> str:
        """For each target its standing locks and latest ends."""
        return self._key("locks")

    @property
    def lock_book(self) -> str:
        """For each lock what it is, in words."""
        return self._key("lockbook")

    @property
    def events(self) -> str:
        """The undrained events of exchanges and administrative acts."""
        return self._key("events")

    @property
    def refusals(self) -> str:
        """The undrained events of refusals, which cannot starve the others."""
        return self._key("refusals")

    @property
    def caps(self) -> str:
        """How many refusals of each client were written in its last minute."""
        return self._key("caps")

    def record(self, exchange: str) -> str:
        """The record of one exchange."""
        return self._key("x", exchange)

    def index(self, root: Identity) -> str:
        """The exchanges of one root identity."""
        return self._key("s", digest(root.issuer, root.subject).hex())

    def once(self, issuer: str, token: str) -> str:
        """Whether a token that may be used once was."""
        return self._key("once", digest(issuer, token).hex())

    def claim(self, owner: str, artefact: str) -> str:
        """Whether a one-time id was taken."""
        return self._key("claim", digest(owner, artefact).hex())

    def _key(self, *names: str) -> str:
        return ":".join((f"dlg:{{{self.number}}}", *names))


@dataclass(frozen=True, slots=True)
class Partitions:
    """All partitions; *count* is part of the layout and never changes."""

    count: int

    def all(self) -> tuple[Partition, ...]:
        """Every partition, by number."""
        return tuple(map(Partition, range(self.count)))

    def of(self, root: Identity) -> Partition:
        """Where everything about one root identity lives."""
        return self._of(root.issuer, root.subject)

    def of_client(self, client: str) -> Partition:
        """Where the refusals of one client live: its subject may not be known."""
        return self._of(client)

    def of_artefact(self, owner: str, artefact: str) -> Partition:
        """Where a one-time id is claimed."""
        return self._of(owner, artefact)

    def of_exchange(self, exchange: str) -> Partition | None:
        """Where the record of an exchange lives, read from its id; `None` if it is no id of
        ours.
        """
        number, separator, _ = exchange.partition("-")
        if not separator or not number.isascii() or not number.isdigit():
            return None
        if str(int(number)) != number or int(number) >= self.count:
            return None
        return Partition(int(number))

    def of_lock(self, target: Target) -> tuple[Partition, ...]:
        """Where a lock has to stand: in one partition if it concerns one person, else in all."""
        if target.kind not in _LOCAL:
            return self.all()
        if target.kind is Kind.EXCHANGE:
            partition = self.of_exchange(target.names[0])
            return () if partition is None else (partition,)
        issuer, subject, *_ = target.names
        return (self.of(Identity(issuer, subject)),)

    def new_id(self, partition: Partition) -> str:
        """An unguessable id (128 bits) that begins with its partition."""
        return f"{partition.number}-{secrets.token_urlsafe(16)}"

    def _of(self, *names: str) -> Partition:
        return Partition(int.from_bytes(digest(*names)[:8]) % self.count)


def digest(*names: str) -> bytes:
    """SHA-256 over *names*, told apart by their lengths."""
    parts = (name.encode() for name in names)
    return hashlib.sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).digest()


def fingerprint(target: Target) -> bytes:
    """The 16 bytes by which the script knows a target."""
    return digest(target.kind.value, *target.names)[:16]
