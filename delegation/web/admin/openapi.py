"""The OpenAPI 3.1 document of the admin API, made from its operations and their models."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema
from werkzeug.http import HTTP_STATUS_CODES

from delegation.domain.administration import Capability
from delegation.web.admin.forms import Id
from delegation.web.admin.metrics import CONTENT_TYPE as METRICS
from delegation.web.admin.operations import BASE, KEY_PATTERN, Operation
from delegation.web.admin.problems import CONTENT_TYPE, Problem
from delegation.web.admin.views import OPERATIONS

_USUAL = (400, 401, 403, 503)

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key for the same target is one lock, however often it is asked for.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}


@cache
def document() -> dict[str, Any]:
    """The whole document: always the same one, made when it is first asked for."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.address, {})[operation.method.lower()] = _described(operation)
    paths[f"{BASE}/metrics"] = {"get": _metrics()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "delegation: admin API",
            "version": "1",
            "summary": "See every live delegation, and stop any of it with all derived from it.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token (RFC 9068) of an admin issuer, for the admin "
                    f"audience, with these scopes: {', '.join(Capability)}.",
                }
            },
        },
    }


def document_text() -> str:
    """The document as it is published, in a stable form."""
    return json.dumps(document(), indent=2, sort_keys=True) + "\n"


def _schemas() -> dict[str, Any]:
    """Every model of a body, and those within them."""
    models: set[type[BaseModel]] = {Problem}
    for operation in OPERATIONS:
        models |= {*operation.answers.values()}
        models |= {operation.body} if operation.body else set()
    _, found = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _described(operation: Operation) -> dict[str, Any]:
    parameters = [*_query(operation.query)]
    if operation.takes_id:
        schema = TypeAdapter(Id).json_schema()
        parameters.insert(0, {"name": "id", "in": "path", "required": True, "schema": schema})
    if operation.takes_key:
        parameters.append(_KEY)
    body = {}
    if operation.body is not None:
        content = {"application/json": {"schema": _ref(operation.body)}}
        body = {"requestBody": {"required": True, "content": content}}
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [{"bearer": sorted(operation.needs)}],
        "parameters": parameters,
        "responses": {
            **{
                str(status): _response(status, "application/json", _ref(model))
                for status, model in operation.answers.items()
            },
            **_problems(*operation.problems),
        },
        **body,
    }


def _query(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Its fields as parameters: what is absent there is left out, never null."""
    described = model.model_json_schema()
    for name, schema in described.get("properties", {}).items():
        said = schema.pop("description", "")
        of_value = dict(schema)
        for one in of_value.pop("anyOf", []):
            of_value |= {} if one == {"type": "null"} else one
        if of_value.get("default", "") is None:
            del of_value["default"]
        said = said or of_value.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in described.get("required", []),
            "schema": of_value,
            **({"description": said} if said else {}),
        }


def _metrics() -> dict[str, Any]:
    return {
        "operationId": "readMetrics",
        "summary": "Counters of alarms and the number of standing locks, for Prometheus",
        "security": [{"bearer": [Capability.ALARMS_READ.value]}],
        "parameters": [],
        "responses": {"200": _response(200, METRICS, {"type": "string"}), **_problems()},
    }


def _problems(*further: int) -> dict[str, Any]:
    return {
        str(status): _response(status, CONTENT_TYPE, _ref(Problem))
        for status in sorted({*_USUAL, *further})
    }


def _response(status: int, type_: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": HTTP_STATUS_CODES[status], "content": {type_: {"schema": schema}}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
