"""What the page on other people's clients shows, and who tries it.

stranger = Stranger(world)
names = stranger.run(blocks("Authlib", "python"), scope="events.read")
must_say_who_acts(claims, stranger)
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from tests.world import SIGNED_API, SIGNING, SIGNING_MCP, TestWorld

PAGE = Path(__file__).parents[2] / "docs/how-to/use-any-client.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(section: str, language: str) -> list[str]:
    """The blocks of one section of the page, in one language, from top to bottom."""
    _, *parts = re.split(r"^## (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    text = dict(zip(parts[::2], parts[1::2], strict=True))[section]
    return [block for kind, block in _BLOCK.findall(text) if kind == language]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A client of *world* with a secret or a private key, and what it may ask for."""

    world: TestWorld
    client_id: str
    audience: str
    resource: str
    credential: Mapping[str, Any] = field(repr=False)

    @classmethod
    def with_secret(cls, world: TestWorld) -> "Stranger":
        """*calendar-mcp*."""
        return cls(
            world=world,
            client_id="calendar-mcp",
            audience=CALENDAR_MCP,
            resource=CALENDAR_API,
            credential={"secret": world.secrets["calendar-mcp"]},
        )

    @classmethod
    def with_key(cls, world: TestWorld) -> "Stranger":
        """*signing-mcp*."""
        kept = world.signer.key.kept()
        return cls(
            world=world,
            client_id=SIGNING,
            audience=SIGNING_MCP,
            resource=SIGNED_API,
            credential={"private_key": {name: kept[name] for name in kept if name != "status"}},
        )

    @property
    def issuer(self) -> str:
        """Whom it asks."""
        return self.world.world.url

    def names(self, **changes: Any) -> dict[str, Any]:
        """What the page's blocks take."""
        return {
            "issuer": self.issuer,
            "client_id": self.client_id,
            "subject_token": self.world.login.token(aud=self.audience),
            "resource": self.resource,
            "scope": "events.read",
            "on_loopback": True,
            **self.credential,
            **changes,
        }

    def run(self, code: Iterable[str], **changes: Any) -> dict[str, Any]:
        """Run blocks of the page, one after the other; the names that there are then.

        Whatever connections they hold open are closed.
        """
        names = self.names(**changes)
        try:
            for block in code:
                exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102, it is our own page
        finally:
            _close(names)
        return names


def _close(names: Mapping[str, Any]) -> None:
    """Those of the `session` that the blocks made, or of the `client`."""
    for holder in (names.get("session"), getattr(names.get("client"), "session", None)):
        if holder is not None:
            holder.close()


def must_say_who_acts(claims: Mapping[str, Any], stranger: Stranger) -> None:
    """The claims are Alice's, for one API alone, and say that *stranger* acts, and through whom."""
    us, login = stranger.issuer, stranger.world.login.issuer
    assert claims["iss"] == us
    assert claims["sub"] == "corp|alice"
    assert claims["aud"] == stranger.resource
    assert claims["client_id"] == stranger.client_id
    assert claims["scope"] == "events.read"
    assert claims["exp"] - claims["iat"] <= 300
    assert claims["iat"] <= time.time()
    assert claims["act"] == {
        "iss": us,
        "sub": stranger.client_id,
        "act": {"iss": login, "sub": "desk-agent", "sub_profile": "ai_agent"},
    }
