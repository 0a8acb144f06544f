"""idpyoidc as a WSGI application, in an environment of its own; `/mint` makes subject tokens."""

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from server import Shell  # that of the test vectors' adapter

_TOLD = json.loads(os.environ["PEER_TOLD"])
_SHELL = Shell(_TOLD["url"], _TOLD["clients"])

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized"}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The token endpoint, and tokens."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    status, text = 200, "{}"
    if environ["PATH_INFO"] == "/mint":
        text = json.dumps(_minted(json.loads(body)))
    elif environ["PATH_INFO"] == "/token":
        status, _, said = _SHELL.token(body, environ.get("HTTP_AUTHORIZATION"))
        text = said if isinstance(said, str) else said.to_json()
    content = text.encode()
    length = str(len(content))
    headers = [("Content-Type", "application/json"), ("Content-Length", length)]
    start_response(f"{status} {_REASONS[status]}", headers)
    return [content]


def _minted(asked: dict[str, Any]) -> list[str]:
    count, who = asked.pop("count"), asked.pop("sub")
    fixed = {"scope": ["events.read"], "exp": int(time.time()) + 3600}
    return [
        _SHELL.mint(asked | fixed | {"sub": f"{who}-{number}"})["token"] for number in range(count)
    ]
