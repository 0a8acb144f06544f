"""The composition root: the only module that knows every class."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog
from flask import Flask

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.audit.inquiry import Inquiry
from delegation.audit.note import SignerKey, VerifierKey
from delegation.audit.reading import Reader
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory, Segments
from delegation.domain.administration import Administration, Administrator
from delegation.domain.alarms import Alarm
from delegation.domain.errors import Cause, Unavailable
from delegation.domain.exchange import Exchange
from delegation.domain.introspection import Introspection
from delegation.domain.registry import Registry
from delegation.domain.revocation import Revocation
from delegation.jose.fetch import Fetcher
from delegation.jose.jwks import ForeignKeys, fetching
from delegation.jose.keyring import Keyring, Status, read_private
from delegation.jose.keys import ALGORITHMS
from delegation.jose.signer import JwtSigner
from delegation.jose.verifier import JwtVerifier
from delegation.lastgood import LastGood
from delegation.ledger.alarms import RedisAlarms
from delegation.ledger.cooldown import SharedCooldown
from delegation.ledger.evidence import Evidence
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.presence import RedisPresence
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.metrics.meter import Meter
from delegation.metrics.tally import Tally
from delegation.presence import Reporter
from delegation.proxies import TrustedProxies
from delegation.registry.loader import Parser, Snapshot, load, parse, snapshot
from delegation.registry.problems import RegistryInvalid
from delegation.registry.published import published
from delegation.settings import Settings
from delegation.tracing.untraced import Processor, Untraced
from delegation.watch import Watched, sight
from delegation.web.admin.app import create_admin_app
from delegation.web.admin.service import AdminService, LoadedRegistry, PublicKey
from delegation.web.app import create_app
from delegation.web.named import request_named
from delegation.web.service import Service

T = TypeVar("T")

REGISTRY = "registry"

SIGNING_KEYS = "signing_keys"

_REFETCH_COOLDOWN = 60
"""Seconds between two unasked-for fetches of an issuer's keys (RFC 8725 §3.10)."""

_ONE_ALARM = 86_400
"""Seconds within which every worker that is in use has seen that keys were replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issuing:
    """All that depends on our keys, so that one exchange never sees two sets of them."""

    keyring: Keyring
    signer: JwtSigner
    exchange: Exchange
    introspection: Introspection
    revocation: Revocation
    published: Mapping[str, object]


def application(
    settings: Settings,
    *,
    last_good: Callable[[str], LastGood] | None = None,
    meter: Meter | None = None,
) -> Flask:
    """The service, ready to serve; it reads registry and keys anew when they change.

    *last_good* gives the memory, by name, of what was read and found good: by itself nothing is
    remembered beyond this process. *meter* measures it: by itself, for nobody. Raises what its
    parts raise where they can neither be loaded nor remembered.
    """
    tracing = _tracing(settings)
    configure_logging(*tracing.processors)
    remembered, measured = last_good or (lambda _: LastGood()), meter or Meter(Tally())
    tracing.hear(measured)
    store = connect(settings, measured)
    ledger = make_ledger(store, settings, measured)

    def fetched(owner: str, succeeded: bool) -> None:  # noqa: FBT001
        measured.keys_fetched(owner, succeeded, registry())

    foreign_keys = _foreign_keys(store, ledger, measured, tracing, fetched)

    def issuing(document: bytes) -> _Issuing:
        keyring = Keyring.parse(document)
        signer = JwtSigner(keyring, settings.issuer)
        signer.self_test()
        verifier = JwtVerifier(keyring=keyring, keys=foreign_keys, clock=_now)
        return _Issuing(
            keyring=keyring,
            signer=signer,
            exchange=Exchange(
                verifier=verifier,
                ledger=ledger,
                signer=signer,
                clock=_now,
                stopwatch=tracing.stopwatch(measured.stopwatch),
                quota=RedisQuota(store, settings.rates),
            ),
            introspection=Introspection(tokens=verifier, exchanges=ledger),
            revocation=Revocation(
                tokens=verifier,
                exchanges=RedisExchanges(store),
                # Its answer says nothing of durability, and a worker that waits serves nobody.
                locks=RedisLocks(store, events=Acts(), waits=False),
            ),
            published=keyring.public_keys(),
        )

    registry = _watched_registry(settings, remembered(REGISTRY), measured)
    keys = Watched(
        SIGNING_KEYS,
        look=lambda: sight(settings.signing_keys),
        read=lambda: read_private(settings.signing_keys),
        parse=issuing,
        describe=lambda issuing: issuing.keyring.active.kid,
        last_good=remembered(SIGNING_KEYS),
        told=partial(measured.read, SIGNING_KEYS),
    )

    def problems() -> list[str]:
        own = [*registry.problems(), *keys.problems(), *_signing_problems(keys().signer)]
        found = own + ledger.problems()
        measured.problems(found)
        measured.revision(registry().revision)
        measured.signing_keys(_since(keys().keyring))
        return found

    registry.watch()
    keys.watch()
    Reporter(
        RedisPresence(store), revision=lambda: registry().revision, problems=problems, clock=_now
    ).start()
    app = create_app(
        Service(
            issuer=settings.issuer,
            registry=registry,
            exchange=tracing.exchanging(lambda request, case: keys().exchange(request, case)),
            introspect=tracing.concerning(lambda token, case: keys().introspection(token, case)),
            revoke=tracing.concerning(lambda token, case: keys().revocation(token, case)),
            assertions=JwtVerifier(keyring=keys().keyring, keys=foreign_keys, clock=_now),
            assertion_algorithms=frozenset(ALGORITHMS),
            ledger=ledger,
            bell=ledger,
            jwks=lambda: keys().published,
            problems=problems,
            meter=measured,
        )
    )
    return tracing.around(_behind(settings.trusted_proxies, app))


def admin_application(
    settings: Settings, *, last_good: Callable[[str], LastGood] | None = None
) -> Flask:
    """The admin API, ready to serve; it reads registry and keys anew as `application` does."""
    tracing = _tracing(settings)
    configure_logging(*tracing.processors)
    remembered = last_good or (lambda _: LastGood())
    store = connect(settings)
    ledger = make_ledger(store, settings)
    foreign_keys = _foreign_keys(store, ledger, Meter(Tally()), tracing)
    loaded = _watched_files(settings, remembered(REGISTRY))
    keys = Watched(
        SIGNING_KEYS,
        look=lambda: sight(settings.signing_keys),
        read=lambda: read_private(settings.signing_keys),
        parse=Keyring.parse,
        describe=lambda keyring: keyring.active.kid,
        last_good=remembered(SIGNING_KEYS),
    )

    def registry() -> Registry:
        return loaded().registry

    def authenticate(token: str) -> Administrator:
        verifier = JwtVerifier(keyring=keys(), keys=foreign_keys, clock=_now)
        return verifier.administrator(token, registry())

    loaded.watch()
    keys.watch()
    app = create_admin_app(
        AdminService(
            audience=settings.admin_audience,
            registry=registry,
            loaded=lambda: _shown(loaded().files, settings),
            authenticate=authenticate,
            administration=administration(store, registry),
            presence=RedisPresence(store),
            alarms=RedisAlarms(store),
            quota=RedisQuota(store, settings.rates),
            trail=_trail(store, settings),
            public_keys=lambda: _public(keys()),
            problems=lambda: [*loaded.problems(), *keys.problems(), *ledger.problems()],
        )
    )
    return tracing.around(_behind(settings.trusted_proxies, app))


def local_admin_application(settings: Settings, store: Store, *, user: str) -> Flask:
    """The admin API for *user*, who runs this very process: it asks nobody for a token.

    A registry that cannot be read keeps nobody from stopping anything.
    """

    def registry() -> Registry:
        try:
            return load(
                settings.registry, issuer=settings.issuer, admin_audience=settings.admin_audience
            )
        except RegistryInvalid:
            # No API is then taken for one that asks each time.
            return Registry.of(issuer=settings.issuer, revision="unreadable")

    def loaded() -> LoadedRegistry:
        try:
            files = snapshot(settings.registry)
            parse(files, issuer=settings.issuer, admin_audience=settings.admin_audience)
        except RegistryInvalid as invalid:
            raise Unavailable("registry_invalid") from invalid
        return _shown(files, settings)

    local = Administrator.local(user)
    return create_admin_app(
        AdminService(
            audience=settings.admin_audience,
            registry=registry,
            loaded=loaded,
            authenticate=lambda _: local,
            administration=administration(store, registry),
            presence=RedisPresence(store),
            alarms=RedisAlarms(store),
            quota=RedisQuota(store, settings.rates),
            trail=_trail(store, settings),
            public_keys=lambda: _public(Keyring.load(settings.signing_keys)),
            problems=make_ledger(store, settings).problems,
        ),
        local=local,
    )


def administration(store: Store, registry: Callable[[], Registry]) -> Administration:
    """What administrators do, in *store*."""
    return Administration(
        locks=locks(store),
        exchanges=RedisExchanges(store),
        registry=registry,
        clock=_now,
    )


def locks(store: Store) -> RedisLocks:
    """What is stopped, in *store*: each order with its event."""
    return RedisLocks(store, events=Acts())


def connect(settings: Settings, meter: Meter | None = None) -> Store:
    """The store that the settings name. Nothing is sent yet."""
    server = Server(settings.redis_url, timeout=settings.redis_timeout, meter=meter)
    return Store(server, Partitions(settings.partitions))


def make_ledger(store: Store, settings: Settings, meter: Meter | None = None) -> RedisLedger:
    """The ledger in *store*."""
    limits = Limits(
        undrained_events=settings.max_undrained_events,
        refusals_per_minute=settings.refusals_per_minute,
    )
    return RedisLedger(store, events=Events(), limits=limits, meter=meter)


def _behind(proxies: TrustedProxies, app: Flask) -> Flask:
    """As Flask wants it, so that *app* is still one."""
    app.wsgi_app = proxies.before(app.wsgi_app)  # type: ignore[method-assign, assignment]
    return app


def _foreign_keys(
    store: Store,
    ledger: RedisLedger,
    meter: Meter,
    tracing: Untraced,
    fetched: Callable[[str, bool], None] | None = None,
) -> ForeignKeys:
    """Other parties' keys; where all of a party's are replaced, one alarm for all workers."""
    first = SharedCooldown(store.server, seconds=_ONE_ALARM)
    log = structlog.get_logger(__name__)

    def replaced(owner: str, names: tuple[str, ...]) -> None:
        if first.begin(" ".join(("keys_replaced", owner, *names))):
            ledger.sound(Alarm(cause=Cause.KEYS_REPLACED, about=owner, detail={"keys": names}))
            log.error("alarm", cause=Cause.KEYS_REPLACED, client=None, decision=None, about=owner)
            meter.alarm(Cause.KEYS_REPLACED)

    cooldown = SharedCooldown(store.server, seconds=_REFETCH_COOLDOWN)
    fetch = fetching(Fetcher(around=tracing.fetching))
    return ForeignKeys(cooldown, fetch=fetch, replaced=replaced, fetched=fetched)


def _tracing(settings: Settings) -> Untraced:
    if not settings.traces:
        return Untraced()
    # Only here: it is an extra, and takes its time.
    from delegation.tracing.exporting import exporting  # noqa: PLC0415
    from delegation.tracing.traced import Traced  # noqa: PLC0415

    return Traced(exporting())


def sealer(
    store: Store, segments: Segments, key: SignerKey, former: Iterable[VerifierKey] = ()
) -> Sealer:
    """What moves the events that stand in *store* into *segments*."""
    return Sealer(Evidence(store), segments, key, former=former, clock=_now)


def reader(store: Store, segments: Segments | None) -> Reader:
    """What reads the events in *segments*, if there are any, and those that stand in *store*."""
    return Reader(Evidence(store), segments)


def _trail(store: Store, settings: Settings) -> Inquiry:
    where = settings.audit_directory
    return Inquiry(reader(store, None if where is None else Directory(where)))


@dataclass(frozen=True, slots=True)
class _Loaded:
    registry: Registry
    files: Snapshot


def _watched_registry(settings: Settings, last_good: LastGood, meter: Meter) -> Watched[Registry]:
    parser = Parser(issuer=settings.issuer, admin_audience=settings.admin_audience)
    return _watched(
        settings,
        last_good,
        understand=parser.parse,
        describe=lambda registry: registry.revision,
        told=partial(meter.read, REGISTRY),
    )


def _watched_files(settings: Settings, last_good: LastGood) -> Watched[_Loaded]:
    """The same with the files that it was made of, which the workers need not keep."""
    parser = Parser(issuer=settings.issuer, admin_audience=settings.admin_audience)
    return _watched(
        settings,
        last_good,
        understand=lambda files: _Loaded(parser.parse(files), files),
        describe=lambda loaded: loaded.registry.revision,
    )


def _watched(
    settings: Settings,
    last_good: LastGood,
    *,
    understand: Callable[[Snapshot], T],
    describe: Callable[[T], str],
    told: Callable[[bool], None] | None = None,
) -> Watched[T]:
    return Watched(
        REGISTRY,
        look=lambda: sight(settings.registry),
        read=lambda: snapshot(settings.registry).packed(),
        parse=lambda packed: understand(Snapshot.unpacked(packed)),
        describe=describe,
        last_good=last_good,
        told=told,
    )


def _shown(files: Snapshot, settings: Settings) -> LoadedRegistry:
    return LoadedRegistry(
        issuer=settings.issuer,
        admin_audience=settings.admin_audience,
        revision=files.revision,
        files=published(files),
    )


def _public(keyring: Keyring) -> list[PublicKey]:
    return [
        PublicKey(
            kid=key.kid, algorithm=key.algorithm, status=key.status.value, jwk=key.published()
        )
        for key in keyring.keys
    ]


def _since(keyring: Keyring) -> dict[str, list[int | None]]:
    """Since when our keys have the status that they have, by status."""
    return {
        status.value: [key.since for key in keyring.keys if key.status is status]
        for status in Status
    }


def configure_logging(*further: Processor) -> None:
    """Log JSON lines to standard error; what came from outside is escaped by the form itself.

    Each has the id of the request that it is about, and what *further* processors add.
    """
    structlog.configure(
        processors=[
            request_named,
            *further,
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
