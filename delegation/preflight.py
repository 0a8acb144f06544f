"""Every problem of a configuration at once, each with what to do about it."""

import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from delegation import wiring
from delegation.audit.keys import parse_keys
from delegation.audit.note import SignerKey, VerifierKey
from delegation.jose.keyring import Keyring, read_private
from delegation.jose.keys import ALGORITHMS
from delegation.ledger.store import Store
from delegation.registry.loader import load
from delegation.registry.problems import RegistryInvalid
from delegation.settings import Settings, SettingsInvalid
from delegation.storeurl import CLUSTER, SENTINEL, StoreUrl
from delegation.web.metadata import metadata


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one *part*, and what to do. *passes* is true of what may mend itself."""

    part: str
    message: str
    passes: bool = False

    def __str__(self) -> str:
        """One line."""
        return f"{self.part}: {self.message}"


class KeysUnusable(Exception):
    """There are no keys to be had; the message says what to do."""


def problems(environ: Mapping[str, str]) -> list[Problem]:
    """All that keeps a service with these settings from serving; nothing is changed.

    A setting that is wrong hides nothing: every part is looked at whose own settings are right.
    """
    try:
        settings, wrong = Settings.from_environment(environ), frozenset[str]()
    except SettingsInvalid as invalid:
        found = [Problem("settings", str(problem)) for problem in invalid.problems]
        wrong = frozenset(problem.variable for problem in invalid.problems)
        settings = _without(wrong, environ)
    else:
        found = []
    for check, needed in _CHECKS.items():
        if not needed & wrong:
            found += check(settings)
    return found


def listening(bind: str, variable: str = "DELEGATION_BIND") -> Iterator[Problem]:
    """Why *bind*, the value of *variable*, could not be listened at; nothing where it could."""
    if bind.startswith("unix:"):
        directory = Path(bind.removeprefix("unix:")).parent
        if not os.access(directory, os.W_OK | os.X_OK):
            yield Problem(
                "bind",
                f"{directory} is no directory that can be written to: make it, "
                f"or set {variable} to another address",
            )
        return
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            remedy = "stop what listens there, or set" if in_use else "set"
            yield Problem(
                "bind",
                f"{bind} cannot be had ({error.strerror}): {remedy} {variable} to another address",
            )


def keyring(path: Path) -> Keyring:
    """The keys at *path*. Raises `KeysUnusable`."""
    make = f"`delegation keys new {path}`"
    try:
        return Keyring.load(path)
    except FileNotFoundError:
        raise KeysUnusable(f"{path} is not there: make it with {make}") from None
    except OSError as error:
        raise KeysUnusable(
            f"{path} cannot be read ({error.strerror}): name a file that this user may read"
        ) from error
    except ValueError as error:
        message = str(error)
        # The parser's own complaint, about JSON or UTF-8, names no remedy.
        if type(error.__cause__) is not ValueError:
            message = f"{path}: this is no JSON: make another file with {make}"
        raise KeysUnusable(message) from error


def audit_keys(settings: Settings) -> tuple[SignerKey, list[VerifierKey]]:
    """The key that checkpoints are signed with, and those that were. Raises `KeysUnusable`.

    It is none that tokens are signed with, as far as this process may see these.
    """
    path = settings.audit_key
    if path is None:
        raise KeysUnusable(
            "DELEGATION_AUDIT_KEY is not set: make a key with `delegation audit new-key`, and set "
            "it to its file"
        )
    try:
        key, former = parse_keys(read_private(path))
    except OSError as error:
        raise KeysUnusable(
            f"{path} cannot be read ({error.strerror}): set DELEGATION_AUDIT_KEY to a file that "
            "this user may read"
        ) from error
    except ValueError as error:
        raise KeysUnusable(f"{path}: {error}") from error
    if _signs_tokens(key.verifier, settings.signing_keys):
        raise KeysUnusable(
            f"{path} holds a key that signs tokens: make one of its own with "
            "`delegation audit new-key`"
        )
    return key, former


def _signs_tokens(audit: VerifierKey, path: Path) -> bool:
    try:
        keys = Keyring.load(path).keys
    except (OSError, ValueError):  # the sealer need not have them
        return False
    ours = (key.public.key for key in keys)
    return any(
        isinstance(key, Ed25519PublicKey) and key.public_bytes_raw() == audit.public for key in ours
    )


@contextmanager
def store(settings: Settings) -> Iterator[Store]:
    """The store that the settings name, closed afterwards."""
    opened = wiring.connect(settings)
    try:
        yield opened
    finally:
        opened.server.close()


def remedy(problem: str, topology: str = "") -> str:
    """What a problem of the ledger means, and what to do about it; *topology* is its URL's."""
    of_topology = _REMEDIES_OF_TOPOLOGIES.get((topology, problem))
    usual = _REMEDIES.get(problem, f"the store answers {problem}, which should not be: report it")
    return of_topology or usual


_STAND_INS = {
    "DELEGATION_ISSUER": "https://stand-in.invalid",
    "DELEGATION_REDIS_URL": "redis://stand-in.invalid",
    "DELEGATION_REGISTRY": "stand-in",
    "DELEGATION_SIGNING_KEYS": "stand-in",
}


def _without(wrong: frozenset[str], environ: Mapping[str, str]) -> Settings:
    """The settings, with stand-ins for those that are *wrong*: for looking at the others."""
    sound = {name: text for name, text in environ.items() if name not in wrong}
    if "DELEGATION_REDIS_URL_FILE" in wrong:
        wrong |= {"DELEGATION_REDIS_URL"}
    stand_ins = {name: text for name, text in _STAND_INS.items() if name in wrong}
    return Settings.from_environment(stand_ins | sound)


def _registry(settings: Settings) -> Iterator[Problem]:
    try:
        registry = load(
            settings.registry, issuer=settings.issuer, admin_audience=settings.admin_audience
        )
    except RegistryInvalid as invalid:
        for problem in invalid.problems:
            yield Problem("registry", str(problem))
        return
    if not registry.grants:
        yield Problem(
            "registry",
            f"{settings.registry} holds no grant, so every exchange will be refused: "
            "start from `delegation init`, or check DELEGATION_REGISTRY",
            passes=True,
        )


def _keys(settings: Settings) -> Iterator[Problem]:
    try:
        keyring(settings.signing_keys)
    except KeysUnusable as error:
        yield Problem("keys", str(error))


_REMEDIES = {
    "no_layout": (
        "the store is not laid out: run `delegation ledger init` if it is a new one, and "
        "`delegation ledger replay-locks` if it has lost what it knew"
    ),
    "other_layout_version": (
        "the store was laid out by a release with another layout: run that release; or seal what "
        "is left with it, empty the store, and run `delegation ledger replay-locks`"
    ),
    "other_number_of_partitions": (
        "the store has another number of partitions: set DELEGATION_PARTITIONS to it"
    ),
    "layout_not_ready": "the store is being restored: wait until that is done",
    "stale": "the store is behind what was seen of it: wait for, or go back to, its primary",
    "ledger_unreachable": "the store does not answer: check DELEGATION_REDIS_URL, and that it runs",
    "ledger_unwell": (
        "the store answers with an error, for it is loading, full, read-only or locked: "
        "check the store itself, and the password in DELEGATION_REDIS_URL"
    ),
    "ledger_evicts": "the store may drop locks when it is full: set maxmemory-policy noeviction",
    "too_many_undrained_events": "the store is full of events: run `delegation audit seal`",
    "clocks_differ": "this clock and the store's differ by more than two seconds: synchronise them",
}

_REMEDIES_OF_TOPOLOGIES = {
    ("", "ledger_unwell"): (
        "the store answers with an error, for it is loading, full, read-only, locked or one of "
        "several: check the store itself, and in DELEGATION_REDIS_URL the password; that begins "
        "with redis+cluster:// for a cluster, and with redis+sentinel:// for Sentinels"
    ),
    (SENTINEL, "ledger_unreachable"): (
        "no Sentinel names a primary that answers: check in DELEGATION_REDIS_URL their hosts, "
        "their password and their name for it, and that they and it run"
    ),
    (CLUSTER, "ledger_unreachable"): (
        "the cluster does not answer, or not for all of its slots: check the hosts in "
        "DELEGATION_REDIS_URL, and that each runs and is of a cluster whose state is ok"
    ),
}

_PASSING = frozenset(
    {"ledger_unreachable", "ledger_unwell", "layout_not_ready", "too_many_undrained_events"}
)


def _ledger(settings: Settings) -> Iterator[Problem]:
    with store(settings) as opened:
        found = wiring.make_ledger(opened, settings).problems()
    topology = StoreUrl.parse(settings.redis_url).topology
    for name in found:
        yield Problem("ledger", remedy(name, topology), passes=name in _PASSING)


def _metadata(settings: Settings) -> Iterator[Problem]:
    """What clients would find, judged by a reader that is not ours (RFC 8414 §2)."""
    scopes: frozenset[str] = frozenset()  # what there is of them is the registry's matter
    document = metadata(settings.issuer, assertion_algorithms=frozenset(ALGORITHMS), scopes=scopes)
    if urlsplit(settings.issuer).scheme == "http":  # on loopback, which no client of others allows
        document |= {name: _as_https(value) for name, value in document.items()}
    try:
        AuthorizationServerMetadata(document).validate()
    except ValueError as error:
        yield Problem("metadata", f"clients would not accept it: {error}. Change DELEGATION_ISSUER")


def _as_https(value: object) -> object:
    return value.replace("http:", "https:", 1) if isinstance(value, str) else value


_CHECKS: Mapping[Callable[[Settings], Iterator[Problem]], frozenset[str]] = {
    _registry: frozenset({"DELEGATION_REGISTRY"}),
    _keys: frozenset({"DELEGATION_SIGNING_KEYS"}),
    _metadata: frozenset({"DELEGATION_ISSUER"}),
    _ledger: frozenset(
        {
            "DELEGATION_REDIS_URL",
            "DELEGATION_REDIS_URL_FILE",
            "DELEGATION_PARTITIONS",
            "DELEGATION_REDIS_TIMEOUT",
            "DELEGATION_MAX_UNDRAINED_EVENTS",
        }
    ),
}
"""What is looked at, and the settings that must be right for it."""
