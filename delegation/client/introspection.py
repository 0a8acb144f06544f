"""Asks the issuer whether a token is still good (RFC 7662), and remembers that for a moment."""

import hashlib
import logging
import time
from collections.abc import Callable
from threading import Lock
from urllib.parse import urlencode

import httpx2

from delegation.client.bearer import FORM, CannotVerify, InvalidToken
from delegation.client.discovery import DiscoveryFailed, discover
from delegation.client.service import Service
from delegation.client.verify import AccessToken
from delegation.client.wire import Unusable, ask

MAX_ANSWERS = 10_000
"""Answers that are remembered at a time; the oldest are forgotten first."""

_log = logging.getLogger(__name__)


class Introspection:
    """Asks *service*, as the client that the API is there, and keeps each answer for *seconds*.

    So long it may take until a stop is seen. Safe under threads. *clock* tells seconds since 1970.
    """

    def __init__(
        self,
        service: Service,
        *,
        seconds: float,
        http: httpx2.Client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._seconds = seconds
        self._http = http
        self._clock = clock
        self._endpoint: str | None = None
        self._answers: dict[bytes, tuple[bool, float]] = {}
        self._lock = Lock()

    def remembered(self, value: str, token: AccessToken) -> bool:
        """Whether the answer is there without asking anybody: then the token is active.

        Raises `InvalidToken` where it is not. *value* is what *token* was read from.
        """
        active, until = self._answers.get(_digest(value), (False, 0.0))
        now = self._clock()
        # A clock that was set back must not make an answer last longer.
        if not until - self._seconds <= now < min(until, token.expires_at.timestamp()):
            return False
        _must_be_active(active)
        return True

    def ask(self, value: str, token: AccessToken) -> None:
        """Raise `InvalidToken` where the token is not active, `CannotVerify` where nobody can tell.

        Asks only where the answer is not remembered.
        """
        if self.remembered(value, token):
            return
        until = self._clock() + self._seconds
        try:
            active = self._answer(value)
        except (Unusable, DiscoveryFailed) as error:
            self._endpoint = None
            _log.warning("%s cannot be asked about tokens: %s", self._service.issuer, error)
            raise CannotVerify("the issuer cannot be asked") from error
        self._remember(_digest(value), (active, until))
        _must_be_active(active)

    def _answer(self, value: str) -> bool:
        if self._endpoint is None:
            self._endpoint = self._discovered()
        proof = self._service.credential.prove(self._service.client_id, self._service.issuer)
        answer = ask(
            self._http,
            "POST",
            self._endpoint,
            content=urlencode({"token": value, **proof.parameters}),
            headers={"Content-Type": FORM},
            auth=proof.auth,
        )
        if answer.status == httpx2.codes.UNAUTHORIZED:
            raise Unusable("it answered 401; check the client's id, and its secret or key")
        active = (answer.body or {}).get("active")
        if answer.status != httpx2.codes.OK or not isinstance(active, bool):
            raise Unusable(f"it answered {answer.status}, and does not say whether it is active")
        return active

    def _discovered(self) -> str:
        endpoint = discover(self._service.issuer, self._http).get("introspection_endpoint")
        if not isinstance(endpoint, str):
            raise Unusable("its metadata names no introspection_endpoint")
        return endpoint

    def _remember(self, digest: bytes, answer: tuple[bool, float]) -> None:
        with self._lock:
            # Taken out first, so that what is there stands in the order of its age.
            self._answers.pop(digest, None)
            self._answers[digest] = answer
            if len(self._answers) > MAX_ANSWERS:
                del self._answers[next(iter(self._answers))]


def _digest(value: str) -> bytes:
    """What stands for a token: no token is kept."""
    return hashlib.sha256(value.encode()).digest()


def _must_be_active(active: bool) -> None:  # noqa: FBT001, it is the member of that name
    if not active:
        raise InvalidToken("the issuer says that the token is not active")
