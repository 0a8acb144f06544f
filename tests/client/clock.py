"""A clock that a test holds in its hand."""

from dataclasses import dataclass

from delegation.client.cache import Instant


@dataclass(slots=True)
class HeldClock:
    """Stands still, but for what a test says. It is noon at first, long after the machine began."""

    monotonic: float = 5000.0
    wall: float = 1_800_000_000.0

    def __call__(self) -> Instant:
        """Now."""
        return Instant(self.monotonic, self.wall)

    def pass_by(self, seconds: float) -> None:
        """Let both go on."""
        self.monotonic += seconds
        self.wall += seconds
