"""The cases as they stand in files, and how they become requests: patches and placeholders."""

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .adapter import Server
from .world import SignedToken, World

CASES = Path(__file__).parent / "cases"

Case = Mapping[str, Any]
"""As `case.schema.json` describes it."""


def load() -> list[Case]:
    """All cases, by theme, in the order in which they stand."""
    files = sorted(CASES.glob("*.json"))
    return [case for file in files for case in json.loads(file.read_text("utf-8"))["cases"]]


def patched(target: Any, patch: Any) -> Any:
    """*target* with *patch* merged into it (RFC 7396): `null` takes a member out."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result


_PLACEHOLDER = re.compile(
    r"\$(?:(?P<now>now)(?P<shift>[+-]\d+)?"
    r"|(?P<word>unique|server|signer|null)\b"
    r"|(?P<of>issuer|client|audience|resource|name|token|exp)\.(?P<which>[a-z0-9-]+)"
    r"|subject\.(?P<issuer>[a-z0-9-]+)\.(?P<subject>[a-z0-9-]+))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One run of one case: its moment, and the tokens that it has so far."""

    world: World
    server: Server
    now: int = field(default_factory=lambda: int(time.time()))
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    expiries: dict[str, int] = field(default_factory=dict)

    def sign(self, name: str, token: Mapping[str, Any]) -> None:
        """Have a token that a case describes made, under *name*. Raises `NotSupported`."""
        if "raw" in token:
            self.tokens[name] = token["raw"]
            return
        described = patched(self.world.kinds[token["kind"]], token)
        signer = described["signed_by"]
        signed = self.world.sign(self.filled(described, signer=self._called(signer)))
        self.tokens[name] = self.server.presented(signed)
        self._remember(name, signed)

    def keep(self, name: str, answer: Mapping[str, Any] | None) -> None:
        """Keep what an exchange has issued, if it has, under *name*."""
        members = answer or {}
        if isinstance(token := members.get("access_token"), str):
            self.tokens[name] = token
        if isinstance(lifetime := members.get("expires_in"), int):
            self.expiries[name] = int(time.time()) + lifetime

    def filled(self, value: Any, *, signer: str = "") -> Any:
        """*value* with every placeholder in it replaced."""
        match value:
            case str():
                return self._text(value, signer)
            case Mapping():
                return {name: self.filled(one, signer=signer) for name, one in value.items()}
            case list():
                return [self.filled(one, signer=signer) for one in value]
            case _:
                return value

    def _remember(self, name: str, signed: SignedToken) -> None:
        if isinstance(exp := signed.claims.get("exp"), int):
            self.expiries[name] = exp

    def _called(self, signer: str) -> str:
        """What a party says in `iss` of what it signs."""
        group, _, name = signer.partition(":")
        if group == "client":
            return self.server.client_id(name)
        return self.world.issuers[name].identifier

    def _text(self, text: str, signer: str) -> Any:
        whole = _PLACEHOLDER.fullmatch(text)
        if whole is not None:
            return self._value(whole, signer)
        return _PLACEHOLDER.sub(lambda found: str(self._value(found, signer)), text)

    def _value(self, found: re.Match[str], signer: str) -> Any:
        if found["now"]:
            return self.now + int(found["shift"] or 0)
        if found["subject"]:
            return self.server.subject(found["issuer"], found["subject"])
        if found["of"]:
            return self._of(found["of"], found["which"])
        words = {"server": self.server.identifier, "signer": signer, "null": None}
        return words.get(found["word"], secrets.token_urlsafe(16))

    def _of(self, kind: str, name: str) -> Any:  # noqa: PLR0911, it is a table
        match kind:
            case "issuer":
                return self.world.issuers[name].identifier
            case "client":
                return self.server.client_id(name)
            case "audience":
                return self.world.clients[name].entry["audience"]
            case "resource":
                return self.world.resources[name]["identifier"]
            case "name":
                return self.world.resources[name]["name"]
            case "token":
                return self.tokens[name]
            case _:
                return self.expiries.get(name)


def parameters(members: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names with values, as they are sent: a list is a parameter that is repeated."""
    for name, value in members.items():
        values: Iterable[str] = value if isinstance(value, list) else [value]
        for one in values:
            yield name, one
