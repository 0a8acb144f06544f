"""A cool-down that all workers share."""

from delegation.ledger.partitions import digest
from delegation.ledger.server import Server


class SharedCooldown:
    """Lets a thing be done once in so many *seconds*, by all workers together."""

    def __init__(self, server: Server, *, seconds: int) -> None:
        self._server = server
        self._milliseconds = seconds * 1000

    def begin(self, name: str) -> bool:
        """Whether it may be done now. Raises `Unavailable`."""
        return self._server.take(f"dlg:cooldown:{digest(name).hex()}", self._milliseconds)
