"""The keys of the issuer: found by its name alone, kept for a while, never taken from a token."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

import httpx2
from jwt import PyJWK, PyJWTError

from delegation.client.bearer import CannotVerify, InvalidToken
from delegation.client.discovery import DiscoveryFailed, discover
from delegation.client.verify import ALGORITHMS
from delegation.client.wire import Unusable, ask

FRESH_FOR = 300.0
"""Seconds after which keys are fetched anew."""

USABLE_FOR = 3600.0
"""Seconds for which keys are used when they cannot be fetched anew; then nothing is believed."""

RETRY_AFTER = 5.0
"""Seconds for which the issuer is left alone after a fetch that failed."""

COOLDOWN = 60.0
"""Seconds in which keys are fetched once at most because a token names an unknown one."""

PATIENCE = 10.0
"""Seconds for which whoever has no key waits for the fetch of another."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of the keys. *fetched_at* is long ago where they never were."""

    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    fetched_at: float = float("-inf")
    not_before: float = float("-inf")
    more_not_before: float = float("-inf")
    failing: bool = False


class IssuerKeys:
    """Finds the keys of *issuer*. Safe under threads.

    One fetch is under way at a time; who knows the key that it needs does not wait for it. *clock*
    tells monotonic seconds.
    """

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str | None,
        http: httpx2.Client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._http = http
        self._clock = clock
        self._known = _Known()
        self._fetching = Lock()

    def at_hand(self, kid: str) -> PyJWK | None:
        """The key *kid*, if it is there without asking anybody."""
        now, known = self._clock(), self._known
        if _is_due(known, kid, now) and not self._fetching.locked():
            return None
        return _usable(known, kid, now)

    def find(self, kid: str) -> PyJWK:
        """The key *kid*. Raises `InvalidToken` where there is none, `CannotVerify` where nobody can
        tell.
        """
        now, known = self._clock(), self._known
        if _is_due(known, kid, now):
            known = self._newer(known, wait=_usable(known, kid, now) is None)
        key = _usable(known, kid, now)
        if key is not None:
            return key
        if known.failing:
            raise CannotVerify("the issuer's keys are out of reach")
        raise InvalidToken("the issuer has no key of this name")

    def _newer(self, known: _Known, *, wait: bool) -> _Known:
        if not self._fetching.acquire(timeout=PATIENCE if wait else 0):
            # An answer may take its time: that must not keep everybody waiting.
            return replace(known, failing=True)
        try:
            # Who waited finds what the one before it has fetched.
            if self._known is known:
                self._known = self._fetched(known)
            return self._known
        finally:
            self._fetching.release()

    def _fetched(self, known: _Known) -> _Known:
        began = self._clock()
        if began < known.fetched_at + FRESH_FOR:
            # An unknown key is the only reason to ask: anybody can make up such a name.
            known = replace(known, more_not_before=began + COOLDOWN)
        try:
            keys = _verification_keys(self._document())
        except (Unusable, DiscoveryFailed) as error:
            _log.warning("the keys of %s cannot be fetched: %s", self._issuer, error)
            return replace(known, not_before=self._clock() + RETRY_AFTER, failing=True)
        return _Known(keys=keys, fetched_at=self._clock(), more_not_before=known.more_not_before)

    def _document(self) -> object:
        uri = self._jwks_uri or discover(self._issuer, self._http).get("jwks_uri")
        if not isinstance(uri, str):
            raise Unusable(f"the metadata of {self._issuer} names no jwks_uri")
        # Asked so seldom, that no connection is kept for it.
        answer = ask(self._http, "GET", uri, headers={"Connection": "close"})
        if answer.status != httpx2.codes.OK or answer.body is None:
            raise Unusable(f"{uri} is no key set: it answered {answer.status}")
        return answer.body.get("keys")


def _is_due(known: _Known, kid: str, now: float) -> bool:
    """Whether to ask the issuer: the keys are old, or it may have more than these."""
    if now < known.not_before:
        return False
    if now >= known.fetched_at + FRESH_FOR:
        return True
    return kid not in known.keys and now >= known.more_not_before


def _usable(known: _Known, kid: str, now: float) -> PyJWK | None:
    return known.keys.get(kid) if now < known.fetched_at + USABLE_FOR else None


def _verification_keys(listed: object) -> Mapping[str, PyJWK]:
    """The keys in a JWK Set by name. What cannot be used is passed over (RFC 7517 §5)."""
    if not isinstance(listed, list):
        raise Unusable("the document is no key set")
    usable = [key for jwk in listed if (key := _verification_key(jwk)) is not None]
    # Two keys of one name: whichever we took, the issuer may have meant the other.
    count = Counter(key.key_id for key in usable)
    return {str(key.key_id): key for key in usable if count[key.key_id] == 1}


def _verification_key(jwk: object) -> PyJWK | None:
    """A public key, good for one algorithm only: that which itself names (RFC 8725 §3.1)."""
    if not isinstance(jwk, dict) or "d" in jwk or not isinstance(jwk.get("kid"), str):
        return None
    if jwk.get("use", "sig") != "sig" or jwk.get("alg") not in list(ALGORITHMS):
        return None
    try:
        key = PyJWK(jwk)
        # It alone looks whether the curve is that of the algorithm.
        weakness = key.Algorithm.check_key_length(key.Algorithm.prepare_key(key.key))
    except (PyJWTError, LookupError, TypeError, ValueError):
        return None
    return None if weakness else key
