"""The OpenAPI document: published as the process has it, and complete."""

import json
from pathlib import Path

from delegation.web.admin.openapi import document, document_text
from delegation.web.admin.problems import Kind
from tests.web.admin.desk import Desk

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference" / "admin-api.openapi.json"


def test_the_published_document_is_current() -> None:
    """`make schema` writes it."""
    assert PUBLISHED.read_text("utf-8") == document_text()


def test_the_process_has_it(desk: Desk) -> None:
    """For tools, without a token."""
    answer = desk.app.test_client().get("/admin/v1/openapi.json")

    assert answer.status_code == 200
    assert answer.json == json.loads(document_text())


def test_every_address_is_described(desk: Desk) -> None:
    """No operation is left out, and none is made up."""
    served = {
        (rule.rule.replace("<id>", "{id}"), method.lower())
        for rule in desk.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/admin/v1/") and not rule.rule.endswith(".json")
    }

    described = {
        (path, method) for path, methods in document()["paths"].items() for method in methods
    }

    assert served == described


def test_every_operation_takes_a_token() -> None:
    """And says with which scope."""
    for operations in document()["paths"].values():
        for operation in operations.values():
            assert operation["security"][0]["bearer"]
            assert {"401", "403", "503"} <= operation["responses"].keys()


def test_problems_have_names_of_their_own() -> None:
    """A client can tell them apart."""
    assert len({kind.slug for kind in Kind}) == len(Kind)
