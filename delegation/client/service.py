"""The service to ask, and who asks it: given in code, or read from the environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from delegation.client.credentials import Credential, PrivateKey, Secret
from delegation.client.errors import ConfigurationInvalid
from delegation.client.wire import Unusable, must_be_safe

PREFIX = "DELEGATION_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A token exchange service as one client of it knows it. Raises `ConfigurationInvalid`.

    *issuer* is its issuer identifier, by which its token endpoint is found (RFC 8414), unless
    *token_endpoint* names it. The client shows a *client_secret* or signs with a *client_key*.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    client_key: PrivateKey | None = None
    token_endpoint: str | None = None

    def __post_init__(self) -> None:
        """Nothing is assumed: there is one credential, and it goes where secrets may go."""
        problems = []
        for name in ("issuer", "token_endpoint"):
            url = getattr(self, name)
            try:
                if url is not None:
                    must_be_safe(url)
            except Unusable as error:
                problems.append(f"{name}: {error}")
        if not self.client_id:
            problems.append("client_id: is empty")
        if self.client_secret is not None and not self.client_secret:
            problems.append("client_secret: is empty")
        if (self.client_secret is None) == (self.client_key is None):
            problems.append("client_secret, client_key: give one of the two")
        if problems:
            raise ConfigurationInvalid(*problems)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """As the variables `DELEGATION_...` say. Raises `ConfigurationInvalid` with all problems.

        `ISSUER`, `CLIENT_ID`, and one of `CLIENT_SECRET`, `CLIENT_SECRET_FILE` and
        `CLIENT_KEY_FILE`; and `TOKEN_ENDPOINT`, where the service has no metadata. Other variables
        are not looked at; an empty one is a mistake, not an absent one.
        """
        return cls(**_Reading(os.environ if environ is None else environ).values())

    @property
    def credential(self) -> Credential:
        """What the client shows."""
        if self.client_key is not None:
            return self.client_key
        return Secret(self.client_secret or "")


def _secret(text: str) -> dict[str, Any]:
    return {"client_secret": text}


def _secret_file(text: str) -> dict[str, Any]:
    try:
        secret = _content(text).decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise ValueError("must be the path of a file with a secret, and holds none")
    return _secret(secret)


def _key_file(text: str) -> dict[str, Any]:
    return {"client_key": PrivateKey.parse(_content(text))}


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        raise ValueError("must be the path of a file that can be read") from None


_READ: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "CLIENT_SECRET": _secret,
    "CLIENT_SECRET_FILE": _secret_file,
    "CLIENT_KEY_FILE": _key_file,
}
"""How each credential is read. Of them, one is given."""


class _Reading:
    """One look at the environment, which takes note of everything that is wrong there."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def values(self) -> dict[str, Any]:
        """The arguments of `Service`."""
        values: dict[str, Any] = {
            "issuer": self._required("ISSUER", "the issuer identifier of the service to ask"),
            "client_id": self._required("CLIENT_ID", "who asks, as the registry calls it"),
            "token_endpoint": self._url("TOKEN_ENDPOINT"),
            **self._credential(),
        }
        self._url("ISSUER")
        if self._problems:
            raise ConfigurationInvalid(*sorted(set(self._problems)))
        return values

    def _credential(self) -> dict[str, Any]:
        """The one that is given: which of several counts could not be told."""
        given = [name for name in _READ if PREFIX + name in self._environ]
        if not given:
            others = [PREFIX + name for name in _READ if name != "CLIENT_SECRET"]
            self._problem("CLIENT_SECRET", f"is not set: set it, or {' or '.join(others)}")
            return {}
        if len(given) > 1:
            rest = " and ".join(PREFIX + name for name in given[1:])
            self._problem(given[0], f"is set together with {rest}: leave one")
            return {}
        (name,) = given
        text = self._text(name)
        try:
            return {} if text is None else _READ[name](text)
        except ValueError as error:
            self._problem(name, str(error))
            return {}

    def _required(self, name: str, meaning: str) -> str:
        if PREFIX + name not in self._environ:
            self._problem(name, f"is not set: {meaning}")
        return self._text(name) or ""

    def _url(self, name: str) -> str | None:
        text = self._text(name)
        try:
            if text is not None:
                must_be_safe(text)
        except Unusable as error:
            self._problem(name, f"is not used: {error}")
        return text

    def _text(self, name: str) -> str | None:
        text = self._environ.get(PREFIX + name)
        if text is None or text:
            return text
        self._problem(name, "is empty: give it a value, or unset it")
        return None

    def _problem(self, name: str, message: str) -> None:
        self._problems.append(f"{PREFIX}{name}: {message}")
