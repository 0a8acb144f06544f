"""The world of the vectors: parties with real keys, who sign what they are told to."""

import base64
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

WORLD = Path(__file__).parent / "world.json"

_ES256 = jwt.get_algorithm_by_name("ES256")


@dataclass(frozen=True, slots=True)
class Key:
    """A key for ES256, with the name that its owner gives it."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def public(self) -> dict[str, str]:
        """As a JWK (RFC 7517)."""
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key()))
        return {"kid": self.kid, "alg": "ES256", "use": "sig"} | {
            member: jwk[member] for member in ("kty", "crv", "x", "y")
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An issuer or a client of the world: what `world.json` says of it, its key and its address.

    *identifier* is the issuer identifier of an issuer; of a client, it is where it would be.
    """

    name: str
    identifier: str
    key: Key
    entry: Mapping[str, Any]

    @property
    def jwks_uri(self) -> str:
        """Where it publishes its key."""
        return f"{self.identifier}/jwks"

    @property
    def jwks(self) -> dict[str, Any]:
        """The JWK Set that it publishes."""
        return {"keys": [self.key.public]}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A token as a case wants it.

    *signer* is `issuer:<name>` or `client:<name>`. *signature* is `sound`, `damaged`, `none`, or by
    `another` party's key.
    """

    signer: str
    kind: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signature: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Who there is, and what has been agreed. An adapter makes all of it true on its server.

    *resources* and *rules* are as `world.json` has them.
    """

    issuers: Mapping[str, Party]
    clients: Mapping[str, Party]
    resources: Mapping[str, Mapping[str, Any]]
    rules: Mapping[str, Mapping[str, Any]]
    features: Mapping[str, str]
    kinds: Mapping[str, Mapping[str, Any]]
    sound: Mapping[str, Any]

    def party(self, signer: str) -> Party:
        """The issuer or client that a case means by `issuer:<name>` or `client:<name>`."""
        group, _, name = signer.partition(":")
        return {"issuer": self.issuers, "client": self.clients}[group][name]

    def sign(self, token: Mapping[str, Any]) -> SignedToken:
        """Sign what a case says of a token; all placeholders have been filled in."""
        signer = token["signed_by"]
        key = self.party(token.get("key_of", signer)).key
        header = {"alg": "ES256", "kid": self.party(signer).key.kid, **token["header"]}
        signing_input = f"{_part(header)}.{_part(token['claims'])}"
        signature = _ES256.sign(signing_input.encode(), key.private)
        kind = token.get("signature", "another" if "key_of" in token else "sound")
        match kind:
            case "none":
                signature = b""
            case "damaged":
                signature = bytes([signature[0] ^ 1]) + signature[1:]
        return SignedToken(
            signer=signer,
            kind=token["kind"],
            header=header,
            claims=token["claims"],
            signature=kind,
            value=f"{signing_input}.{_b64(signature)}",
        )


@contextmanager
def a_world() -> Iterator[World]:
    """The world of `world.json`, with new keys, which its parties publish on a loopback port."""
    document = json.loads(WORLD.read_text("utf-8"))
    with _published() as (url, documents):
        parties = {
            group: {
                name: Party(
                    name=name,
                    identifier=f"{url}/{name}",
                    key=Key(f"{name}-{secrets.token_hex(4)}"),
                    entry=entry,
                )
                for name, entry in document[group].items()
            }
            for group in ("issuers", "clients")
        }
        for party in (*parties["issuers"].values(), *parties["clients"].values()):
            documents[f"/{party.name}/jwks"] = party.jwks
        yield World(**(document | parties))


@contextmanager
def _published() -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve documents by path; the base URL and the documents, to which more may be added."""
    documents: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            body = json.dumps(document).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", documents
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _part(members: object) -> str:
    return _b64(json.dumps(members).encode())


def _b64(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
