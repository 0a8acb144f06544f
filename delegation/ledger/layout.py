"""Laying out an empty store, which only the operator and the development server do."""

import secrets

from delegation.ledger import scripts
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import LAYOUT_VERSION


class LayoutDiffers(Exception):
    """The store is laid out already, and otherwise: nothing was changed."""


def initialize(server: Server, partitions: Partitions, *, ready: bool = True) -> bool:
    """Lay out every partition that is not laid out; whether any was not.

    What is not *ready* takes locks and nothing else until `make_ready`: so nothing is issued before
    what was stopped is stopped again.

    A partition that is laid out stays as it is, so this may be repeated. Raises `LayoutDiffers`
    where one has another version or number of partitions, and `Unavailable`.
    """
    epoch = secrets.token_hex(8)
    expected = [str(LAYOUT_VERSION).encode(), str(partitions.count).encode()]
    arguments = (LAYOUT_VERSION, partitions.count, epoch, int(ready))
    calls = [
        ((partition.layout, partition.events, partition.refusals), arguments)
        for partition in partitions.all()
    ]
    created = False
    for *layout, found in server.run_all(scripts.INIT, calls):
        if layout != expected:
            version, count = (value.decode() for value in layout)
            raise LayoutDiffers(
                f"the store has layout version {version} with {count} partitions; "
                f"this service expects version {LAYOUT_VERSION} with {partitions.count}"
            )
        created = created or found == epoch.encode()
    return created


def make_ready(server: Server, partitions: Partitions) -> None:
    """Open every partition that was laid out, but not ready. Raises `Unavailable`.

    Raises `LayoutDiffers` where one has lost its layout meanwhile: begin again.
    """
    expected = [str(LAYOUT_VERSION).encode(), str(partitions.count).encode(), b"1"]
    calls = [((partition.layout,), ()) for partition in partitions.all()]
    if any(layout != expected for layout in server.run_all(scripts.OPEN, calls)):
        raise LayoutDiffers("the store has lost its layout meanwhile")
