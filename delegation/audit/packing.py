"""How the event of an exchange stands in the store: packed, with the lineage behind it.

There are as many of them as exchanges, until they are sealed; every other event is a JSON object
there, too. Reading gives either in the same form, the published one.
"""

import zlib
from typing import Any

from delegation.audit.chain import understood

_PACKED = b"\x01"
"""How a packed event begins, and no JSON. What is to be packed otherwise needs another byte."""

_LEVEL, _WINDOW, _MEMORY = 3, -11, 4
"""Of zlib: as fast as the fastest, without a checksum, with no more to set up than events need."""

_LARGEST = 1 << 20
"""Bytes of an event: what unpacks to more is none of ours."""

_WORDS = (
    b'"actor_token":{"iss":"https://"claimed":{"mcp_method":"tools/call","mcp_name":"","consent":"'
    b'"shadow":{"grants":["outcome":"refused","cause":""auth_time":17"withheld":["truncated":true'
    b'private_key_jwt","traceparent":"00--01","request_id":"","client_id":"'
    b'{"version":1,"type":"not_issued","decision":"'
    b'{"version":1,"type":"exchange","decision":"","client":"-mcp","mcp_server":"https://mcp.'
    b'","authenticated_by":"client_secret_basic","revision":"","source":"10.","subject":{"iss":'
    b'"https://login.","sub":""},"agent":"-agent","parent":{"iss":"https://","id":""},"actors":['
    b'{"iss":"https://","sub":"-mcp"},{"iss":"https://","sub":"-agent","sub_profile":"ai_agent"}],'
    b'"resource":"https://api.example.com/","scope":{"requested":["read","write"],"granted":["'
    b'"]},"grant":"","limits":{"expiry":"grant"},"expires_at":17,"txn":""}'
)
"""What an event is likely to say, so that it need not. Part of the form: it never changes."""


def packed(event: bytes) -> bytes:
    """The JSON of an event as the store takes it, which adds the lineage beyond the parent."""
    packer = zlib.compressobj(
        _LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _WORDS
    )
    return b"".join((_PACKED, packer.compress(event), packer.flush()))


def unpacked(stored: bytes) -> dict[str, Any]:
    """The event that stands in the store as *stored*. Raises `ValueError` where it is none."""
    if not stored.startswith(_PACKED):
        return _object(understood(stored))
    unpacker = zlib.decompressobj(_WINDOW, _WORDS)
    try:
        event = _object(understood(unpacker.decompress(stored[len(_PACKED) :], _LARGEST)))
        if not unpacker.eof:
            raise ValueError("it does not end")
        return event | {"lineage": _lineage(event, unpacker.unused_data)}
    except (zlib.error, KeyError, TypeError) as error:
        raise ValueError("it is no packed event") from error


def _lineage(event: dict[str, Any], beyond: bytes) -> dict[str, Any]:
    """From what the store has added: the foreign token, and the exchanges before, nearest first.

    Where that is nothing, the parent is that token. Its issuer is the subject's, if not said.
    """
    if not beyond:
        return {"exchanges": [], "foreign_parent": event["parent"]}
    match understood(beyond):
        case [[str(token)], *exchanges]:
            issuer = event["subject"]["iss"]
        case [[str(token), str(issuer)], *exchanges]:
            pass
        case _:
            raise ValueError("it is no lineage")
    return {"exchanges": exchanges, "foreign_parent": {"iss": issuer, "id": token}}


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError("an event is an object")
