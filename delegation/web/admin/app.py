"""The web application of the admin API: which addresses there are, and what answers at each."""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from flask import Flask, Request, Response
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from delegation.domain.administration import Administrator, Capability
from delegation.domain.errors import InvalidRequest
from delegation.web import answers
from delegation.web.admin.access import Access, Bearer, Local, metadata, metadata_path
from delegation.web.admin.forms import Strict
from delegation.web.admin.metrics import CONTENT_TYPE as METRICS
from delegation.web.admin.metrics import metrics
from delegation.web.admin.openapi import document
from delegation.web.admin.operations import BASE, KEY_PATTERN, Call, Operation
from delegation.web.admin.problems import Asked, Boundary, Fault, Kind, malformed, respond
from delegation.web.admin.requests import NoQuery
from delegation.web.admin.service import AdminService
from delegation.web.admin.views import OPERATIONS
from delegation.web.form import read_body
from delegation.web.limits import Seconds
from delegation.web.origin import origin_of
from delegation.web.plain import PlainApp

_JSON = re.compile(r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)

_ID = re.compile(r"(0|[1-9][0-9]{0,8})-[A-Za-z0-9_-]{22}", re.ASCII)


def create_admin_app(
    service: AdminService,
    *,
    local: Administrator | None = None,
    seconds: Seconds = time.monotonic,
) -> Flask:
    """The admin API of *service*, which nothing else is mounted beside; health is at the root.

    With *local* it serves whoever runs this process, and must not be put on any network. *seconds*
    is the clock of sampled log lines.
    """
    access: Access = Bearer(service, seconds=seconds) if local is None else Local(local)

    def protected_resource(_http: Request) -> Response:
        return answers.public(metadata(service), "application/json")

    def described(_http: Request) -> Response:
        return answers.public(document(), "application/json")

    def measured(http: Request) -> Response:
        access(http, [Capability.ALARMS_READ])
        _query(http, NoQuery)
        text = metrics(service.alarms.counts(), len(service.administration.standing()))
        return Response(text, 200, [("Content-Type", METRICS), ("Cache-Control", "no-store")])

    def livez(_http: Request) -> Response:
        return respond(200, {"status": "alive"})

    def readyz(_http: Request) -> Response:
        problems = list(service.problems())
        if problems:
            return respond(503, {"status": "not ready", "problems": problems})
        return respond(200, {"status": "ready"})

    app = PlainApp("delegation-admin", boundary=Boundary(seconds))
    for operation in OPERATIONS:
        app.add_url_rule(
            operation.address.replace("{id}", "<id>"),
            endpoint=operation.name,
            view_func=_view(operation, service, access),
            methods=[operation.method],
        )
    app.add_url_rule(f"{BASE}/metrics", view_func=measured)
    app.add_url_rule(f"{BASE}/openapi.json", view_func=described)
    app.add_url_rule(metadata_path(service.audience), view_func=protected_resource)
    app.add_url_rule("/livez", view_func=livez)
    app.add_url_rule("/readyz", view_func=readyz)
    return app


def _view(operation: Operation, service: AdminService, access: Access) -> Any:
    def view(http: Request, id: str = "") -> Response:  # noqa: A002, the field's own word
        administrator = access(http, operation.needs)
        if operation.takes_id and not _ID.fullmatch(id):
            raise Asked(Kind.MALFORMED, faults=[Fault(where="path/id", what="is no id of ours")])

        def allows(further: Capability) -> None:
            access(http, [*operation.needs, further])

        status, answer = operation.handle(
            Call(
                service=service,
                administrator=administrator,
                origin=origin_of(http.environ),
                id=id,
                query=_query(http, operation.query),
                body=None if operation.body is None else _body(http, operation.body),
                key=_key(http) if operation.takes_key else None,
                allows=allows,
            )
        )
        return respond(status, answer.model_dump(mode="json"))

    return view


def _query(http: Request, model: type[Strict]) -> Any:
    """The query string, in which no parameter may come twice. Raises `Asked`."""
    given: MultiDict[str, str] = http.args
    values = {name: found[0] if len(found) == 1 else found for name, found in given.lists()}
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        raise malformed(invalid, "query") from None


def _body(http: Request, model: type[Strict]) -> Any:
    """The body, which must be one JSON document in UTF-8, and not compressed. Raises `Asked`."""
    is_plain = http.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() == "identity"
    if not is_plain or not _JSON.fullmatch(http.environ.get("CONTENT_TYPE", "")):
        raise Asked(Kind.MEDIA_TYPE)
    try:
        value = json.loads(read_body(http).decode(), object_pairs_hook=_members)
        return model.model_validate(value)
    except (ValueError, RecursionError, InvalidRequest) as error:
        if isinstance(error, ValidationError):
            raise malformed(error, "body") from None
        raise Asked(Kind.MALFORMED, faults=[Fault(where="body", what="is no JSON")]) from None


def _members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A member that comes twice would mean one thing here and another elsewhere."""
    members = [*pairs]
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member comes twice")
    return found


def _key(http: Request) -> str | None:
    key: str | None = http.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not re.fullmatch(KEY_PATTERN, key):
        where = "header/Idempotency-Key"
        raise Asked(Kind.MALFORMED, faults=[Fault(where=where, what="is not as the schema says")])
    return key
