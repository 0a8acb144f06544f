"""Putting the stops of an audit trail into a store that has lost them."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from delegation import preflight, wiring
from delegation.audit.replay import orders
from delegation.audit.segments import Damaged, Directory, Trail
from delegation.audit.verify import CannotVerify, verify
from delegation.cli.common import because, connected, give_up, settings
from delegation.cli.terminal import printable
from delegation.domain.errors import LockIncomplete
from delegation.domain.locks import LockOrder
from delegation.domain.ports import LockConflict, Locks
from delegation.ledger.layout import LayoutDiffers, initialize, make_ready
from delegation.ledger.partitions import Partitions


@click.command("replay-locks", short_help="Order the stops of an audit trail again.")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def replay_locks(directory: Path) -> None:
    """Order the stops again that stand in the sealed segments in DIRECTORY.

    A store without layout is laid out for it, and issues nothing until every stop stands again. The
    trail must verify, with the keys in the file DELEGATION_AUDIT_KEY. What stands already is left
    as it is, so this may be repeated.
    """
    segments = Directory(directory)
    try:
        key, former = preflight.audit_keys(settings())
        found = verify(segments, [key.verifier, *former], since=Trail(segments).begins())
        wanted = orders(Trail(segments).records(), now=datetime.now(UTC))
    except preflight.KeysUnusable as error:
        give_up(f"{error}.")
    except (Damaged, CannotVerify) as error:
        give_up(f"{directory}: {error}: nothing was ordered.")
    except OSError as error:
        give_up(f"{because(error)}: nothing was ordered.")
    with connected() as store:
        wanted = [*_placed(wanted, store.partitions)]
        try:
            initialize(store.server, store.partitions, ready=False)
            done = _order_all(wiring.locks(store), wanted)
            make_ready(store.server, store.partitions)
        except LayoutDiffers as error:
            give_up(f"ledger: {error}: nothing is issued.")
        except LockIncomplete as error:
            numbers = ", ".join(map(str, error.missing))
            give_up(f"A stop does not stand in partitions {numbers}: run this again.")
    click.echo(f"{done} of {len(wanted)} stops stand again.")
    click.echo(
        printable(
            f"The trail ends at {found.last.sealed}: what was stopped or let go after that is not "
            "known here, and has to be ordered again."
        )
    )
    if found.gaps:
        give_up(
            f"Besides, {found.missing} events are missing in the trail: "
            "see `delegation audit verify`."
        )
    if done < len(wanted):
        sys.exit(1)


def _placed(wanted: Iterable[LockOrder], partitions: Partitions) -> Iterator[LockOrder]:
    """Each with the id that it has here; a lock on an exchange that cannot be here is left out."""
    for order in wanted:
        with suppress(ValueError):
            yield replace(order, id=partitions.placed(order.id, order.target))


def _order_all(locks: Locks, wanted: Iterable[LockOrder]) -> int:
    """How many of them stand. Raises `LockIncomplete` and `Unavailable`."""
    return sum(_order(locks, order) for order in wanted)


def _order(locks: Locks, order: LockOrder) -> bool:
    try:
        locks.lock(order)
    except LockConflict:
        click.echo(printable(f"{order.id} was lifted meanwhile, or is another lock now."), err=True)
        return False
    return True
