"""The composition root: the only module that knows every class."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from flask import Flask

from delegation.audit.events import Events
from delegation.domain.errors import Unavailable
from delegation.domain.exchange import Exchange
from delegation.jose.jwks import ForeignKeys
from delegation.jose.keyring import Keyring, read_private
from delegation.jose.keys import ALGORITHMS
from delegation.jose.signer import JwtSigner
from delegation.jose.verifier import JwtVerifier
from delegation.lastgood import LastGood
from delegation.ledger.cooldown import SharedCooldown
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.registry.loader import Snapshot, parse, snapshot
from delegation.settings import Settings
from delegation.watch import Watched, sight
from delegation.web.app import create_app
from delegation.web.service import Service

REGISTRY = "registry"

SIGNING_KEYS = "signing_keys"

_REFETCH_COOLDOWN = 60
"""Seconds between two unasked-for fetches of an issuer's keys (RFC 8725 §3.10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issuing:
    """All that depends on our keys, so that one exchange never sees two sets of them."""

    keyring: Keyring
    signer: JwtSigner
    exchange: Exchange
    published: Mapping[str, object]


def application(settings: Settings, *, last_good: Callable[[str], LastGood] | None = None) -> Flask:
    """The service, ready to serve; it reads registry and keys anew when they change.

    *last_good* gives the memory, by name, of what was read and found good: by itself nothing is
    remembered beyond this process. Raises what its parts raise where they can neither be loaded nor
    remembered.
    """
    configure_logging()
    remembered = last_good or (lambda _: LastGood())
    store = connect(settings)
    ledger = make_ledger(store, settings)
    foreign_keys = ForeignKeys(SharedCooldown(store.server, seconds=_REFETCH_COOLDOWN))

    def issuing(document: bytes) -> _Issuing:
        keyring = Keyring.parse(document)
        signer = JwtSigner(keyring, settings.issuer)
        signer.self_test()
        verifier = JwtVerifier(keyring=keyring, keys=foreign_keys, clock=_now)
        return _Issuing(
            keyring=keyring,
            signer=signer,
            exchange=Exchange(verifier=verifier, ledger=ledger, signer=signer, clock=_now),
            published=keyring.public_keys(),
        )

    registry = Watched(
        REGISTRY,
        look=lambda: sight(settings.registry),
        read=lambda: snapshot(settings.registry).packed(),
        parse=lambda packed: parse(Snapshot.unpacked(packed), issuer=settings.issuer),
        describe=lambda registry: registry.revision,
        last_good=remembered(REGISTRY),
    )
    keys = Watched(
        SIGNING_KEYS,
        look=lambda: sight(settings.signing_keys),
        read=lambda: read_private(settings.signing_keys),
        parse=issuing,
        describe=lambda issuing: issuing.keyring.active.kid,
        last_good=remembered(SIGNING_KEYS),
    )

    def problems() -> list[str]:
        own = [*registry.problems(), *keys.problems(), *_signing_problems(keys().signer)]
        return own + ledger.problems()

    registry.watch()
    keys.watch()
    return create_app(
        Service(
            issuer=settings.issuer,
            registry=registry,
            exchange=lambda request, case: keys().exchange(request, case),
            assertions=JwtVerifier(keyring=keys().keyring, keys=foreign_keys, clock=_now),
            assertion_algorithms=frozenset(ALGORITHMS),
            ledger=ledger,
            jwks=lambda: keys().published,
            problems=problems,
        )
    )


def connect(settings: Settings) -> Store:
    """The store that the settings name. Nothing is sent yet."""
    server = Server(settings.redis_url, timeout=settings.redis_timeout)
    return Store(server, Partitions(settings.partitions))


def make_ledger(store: Store, settings: Settings) -> RedisLedger:
    """The ledger in *store*."""
    limits = Limits(
        undrained_events=settings.max_undrained_events,
        refusals_per_minute=settings.refusals_per_minute,
    )
    return RedisLedger(store, events=Events(), limits=limits)


def undrained_events(store: Store) -> Evidence:
    """The events that stand in *store*."""
    return Evidence(store)


def configure_logging() -> None:
    """Log JSON lines to standard error; what came from outside is escaped by the form itself."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _signing_problems(signer: JwtSigner) -> list[str]:
    try:
        signer.self_test()
    except Unavailable as unavailable:
        return [unavailable.problem]
    return []


def _now() -> datetime:
    return datetime.now(UTC)
