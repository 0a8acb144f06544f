"""The keys of clients: whether each is whole, public, and its client's alone."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from delegation.registry.entries import Sited
from delegation.registry.problems import Code, Problem
from delegation.registry.schema import ClientEntry, KeyEntry


@dataclass(frozen=True, slots=True)
class _Kind:
    """What all keys of a kind have in common: what they are for, and how long members are."""

    algorithms: tuple[str, ...]
    lengths: Mapping[str, range]


_32_BYTES, _48_BYTES, _66_BYTES = range(43, 44), range(64, 65), range(88, 89)
_MODULUS = range(342, 2049)  # 2048 bits or more

_KINDS: Mapping[tuple[str, str], _Kind] = MappingProxyType(
    {
        ("EC", "P-256"): _Kind(("ES256",), {"x": _32_BYTES, "y": _32_BYTES}),
        ("EC", "P-384"): _Kind(("ES384",), {"x": _48_BYTES, "y": _48_BYTES}),
        ("EC", "P-521"): _Kind(("ES512",), {"x": _66_BYTES, "y": _66_BYTES}),
        ("OKP", "Ed25519"): _Kind(("EdDSA",), {"x": _32_BYTES}),
        ("RSA", ""): _Kind(
            ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
            {"n": _MODULUS, "e": range(2, 9)},
        ),
    }
)
"""By type and curve."""

_NUMBERS = ("x", "y", "n", "e")


def key_problems(clients: Iterable[Sited[ClientEntry]]) -> Iterator[Problem]:
    """What is wrong with the keys of *clients*: in one entry, and between them."""
    first: dict[object, Sited[ClientEntry]] = {}
    for client in clients:
        yield from _source(client)
        yield from _names(client)
        for index, key in enumerate(client.entry.keys):
            for member, message in _faults(key, client.entry):
                yield client.problem(Code.WRONG_KEY, message, "keys", index, member)
        yield from _shared(client, first)


def as_text(key: KeyEntry) -> str:
    """The JWK as the domain has it: what it is, its name, and the algorithm that it is for."""
    members = {name: getattr(key, name) for name in ("kty", "kid", "crv", *_NUMBERS)}
    members["alg"] = _algorithm(key)
    given = {name: value for name, value in members.items() if value}
    return json.dumps(given, sort_keys=True, separators=(",", ":"))


def _source(client: Sited[ClientEntry]) -> Iterator[Problem]:
    """Keys come from one place; and what is said of keys needs some."""
    entry = client.entry
    if entry.keys and entry.jwks_uri:
        message = "`jwks_uri` together with `keys`: remove the one or the other"
        yield client.problem(Code.CONTRADICTION, message, "jwks_uri")
    if "algorithms" in entry.model_fields_set and not (entry.keys or entry.jwks_uri):
        message = "`algorithms` needs `keys` or `jwks_uri`: add one, or remove this"
        yield client.problem(Code.CONTRADICTION, message, "algorithms")
    if entry.private_network and not entry.jwks_uri:
        message = "`private_network` needs `jwks_uri`: add that, or remove this"
        yield client.problem(Code.CONTRADICTION, message, "private_network")
    if entry.jwks_uri.startswith("http:") and not entry.private_network:
        message = "`jwks_uri` is on loopback: that needs `private_network: true`"
        yield client.problem(Code.CONTRADICTION, message, "jwks_uri")


def _names(client: Sited[ClientEntry]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, key in enumerate(client.entry.keys):
        if key.kid in seen:
            message = "`kid` is that of another key of this client: each has its own"
            yield client.problem(Code.DUPLICATE_ID, message, "keys", index, "kid")
        seen.add(key.kid)


def _faults(key: KeyEntry, entry: ClientEntry) -> Iterator[tuple[str, str]]:
    """Each member that is not as it must be, and what to do about it."""
    kind = _KINDS.get((key.kty, key.crv))
    if kind is None:
        curves = " or ".join(curve or "none" for kty, curve in _KINDS if kty == key.kty)
        yield "crv", f"`crv` of `kty: {key.kty}` must be {curves}"
        return
    for member in _NUMBERS:
        length, lengths = len(getattr(key, member)), kind.lengths.get(member)
        if lengths is None and length:
            yield member, f"`{member}` is no member of such a key: remove it"
        elif lengths is not None and length not in lengths:
            yield member, f"`{member}` must have {_extent(lengths)} characters, and has {length}"
    algorithm = _algorithm(key)
    if algorithm not in kind.algorithms:
        yield "alg", f"`alg` of such a key must be {' or '.join(kind.algorithms)}"
    elif algorithm not in entry.algorithms:
        yield "alg", f"`{algorithm}` is not among the `algorithms` of the client: add it there"


def _algorithm(key: KeyEntry) -> str:
    """What it says, or what its curve leaves no choice about; empty where that is open."""
    kind = _KINDS.get((key.kty, key.crv))
    if key.alg or kind is None or len(kind.algorithms) > 1:
        return key.alg
    return kind.algorithms[0]


def _extent(lengths: range) -> str:
    return f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"


def _shared(
    client: Sited[ClientEntry], first: dict[object, Sited[ClientEntry]]
) -> Iterator[Problem]:
    """One client cannot pass for another."""
    places: list[tuple[tuple[str | int, ...], object]] = [
        (("keys", index), _material(key)) for index, key in enumerate(client.entry.keys)
    ]
    if client.entry.jwks_uri:
        places.append((("jwks_uri",), client.entry.jwks_uri))
    for at, material in places:
        other = first.setdefault(material, client)
        if other is not client:
            message = f"the client at {other} has this key too: make a new one for each"
            yield client.problem(Code.SHARED_KEY, message, *at)


def _material(key: KeyEntry) -> tuple[str, ...]:
    return key.kty, key.crv, *(getattr(key, member) for member in _NUMBERS)
