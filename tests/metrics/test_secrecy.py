"""What would be found in a log, if it were there: every world is asked for it at its end."""

import base64
import json
from urllib.parse import quote_plus

import pytest

from delegation.jose.keyring import Status, new_key
from delegation.registry.secrets import new_secret
from tests.secrecy import leaks
from tests.signing import SigningClient, SigningParty, b64

LINE = json.dumps(
    {
        "what": "registry",
        "revision": "273efde64c664d9d6b954c86938bf12a6cc05fee7ab8ea19a7c16db8d263e553",
        "kid": "Y3C3fGKirrgRuKuyvJBLcxh_xVDXl56xDJoMKEWBkGI",
        "decision": "3f.0123456789abcdefABCDEF",
        "at": ["/usr/lib/python3/site-packages/delegation/web/server.py:101 create_response"],
        "timestamp": "2026-11-21T15:01:00.483705Z",
    }
)
"""A line as the log has them."""

KEY = new_key("ES256", Status.ACTIVE)
SECRET = new_secret()
TOKEN = SigningParty().token()
ASSERTION = SigningClient().assertion()


def basic(user: str, password: str) -> str:
    """The credentials of a header (RFC 7617 §2)."""
    return base64.b64encode(f"{quote_plus(user)}:{quote_plus(password)}".encode()).decode()


WRITTEN = [
    TOKEN,
    TOKEN[:24],
    TOKEN.partition(".")[2],
    TOKEN.rpartition(".")[2],
    ASSERTION,
    SigningParty(algorithm="EdDSA").token().rpartition(".")[2],
    b64(b'{"typ": "at+jwt"}'),
    SECRET,
    SECRET[:-5],
    SECRET[9:-9],
    *(basic("x" * length, SECRET) for length in range(1, 7)),
    str(KEY.kept()["d"]),
    json.dumps(KEY.kept()),
]


@pytest.mark.standard("8693-5-3")
@pytest.mark.parametrize("written", WRITTEN, ids=range(len(WRITTEN)))
def test_what_nobody_may_read_is_found(written: str) -> None:
    """Tokens, assertions, secrets and keys; also in part, and as a header has them."""
    known = [SECRET, str(KEY.kept()["d"])]

    for line in (written, LINE.replace("registry", written), f"GET /?a={written} HTTP/1.1"):
        assert [*leaks(f"{LINE}\n{line}\n{LINE}", known=known)]


def test_what_may_be_read_is_not_found() -> None:
    """Digests, names of keys, ids of decisions, places in the code."""
    assert not [*leaks(LINE, known=[SECRET, str(KEY.kept()["d"])])]
