"""What the event of an administrative act says: who stopped what or let it go, and why."""

from typing import Any

from delegation.audit.events import encode
from delegation.domain.locks import BookedLock, LockOrder, Target


class Acts:
    """Puts administrative acts into events, each one JSON object in UTF-8."""

    def locked(self, order: LockOrder) -> bytes:
        """The event of a lock."""
        return encode(
            {
                "type": "lock",
                "lock": order.id,
                "target": _target(order.target),
                "ends_at": order.ends_at,
                "parents": order.parents,
                "since_login": order.since_login,
                "reason": order.reason,
                "author": order.author,
            }
        )

    def lifted(self, lock: BookedLock, *, reason: str, author: str, mistaken: bool) -> bytes:
        """The event of its end. A *mistaken* one never was."""
        return encode(
            {
                "type": "lift",
                "lock": lock.order.id,
                "target": _target(lock.order.target),
                "mistaken": mistaken,
                "reason": reason,
                "author": author,
            }
        )


def _target(target: Target) -> dict[str, Any]:
    return {"kind": target.kind.value, "names": list(target.names)}
