"""What the event of an administrative act says: who stopped what or let it go, how, and why."""

from typing import Any

from delegation.audit.events import encode
from delegation.domain.case import Origin
from delegation.domain.locks import BookedLock, LockOrder, Target


class Acts:
    """Puts administrative acts into events, each one JSON object in UTF-8."""

    def locked(self, order: LockOrder, origin: Origin | None = None) -> bytes:
        """The event of a lock, ordered by a request of this *origin*, if by any."""
        return encode(
            {
                "type": "lock",
                "lock": order.id,
                "target": _target(order.target),
                "ends_at": order.ends_at,
                "parents": order.parents,
                "since_login": order.since_login,
                "reason": order.reason,
                **_author(order.author),
                **_origin(origin),
            }
        )

    def lifted(
        self,
        lock: BookedLock,
        *,
        reason: str,
        author: str,
        mistaken: bool,
        origin: Origin | None = None,
    ) -> bytes:
        """The event of its end. A *mistaken* one never was."""
        return encode(
            {
                "type": "lift",
                "lock": lock.order.id,
                "target": _target(lock.order.target),
                "mistaken": mistaken,
                "reason": reason,
                **_author(author),
                **_origin(origin),
            }
        )


def _author(author: str) -> dict[str, Any]:
    """Who it was, in one word and in parts; and how they came in, which their name tells.

    An administrator is of an issuer, which is a URL; no issuer has the separator in its name.
    """
    kind, _, name = author.partition(":")
    if kind == "local":
        return {"author": author, "how": "command"}
    if kind == "client":
        return {"author": author, "how": "revocation", "client": name}
    issuer, is_identity, subject = author.partition("|")
    if not is_identity:
        return {"author": author}
    return {
        "author": author,
        "how": "admin_api",
        "administrator": {"iss": issuer, "sub": subject},
    }


def _origin(origin: Origin | None) -> dict[str, Any]:
    """A command comes from no address."""
    if origin is None:
        return {}
    return {
        "source": origin.address or None,
        "traceparent": origin.traceparent,
        "request_id": origin.request_id,
    }


def _target(target: Target) -> dict[str, Any]:
    return {"kind": target.kind.value, "names": list(target.names)}
