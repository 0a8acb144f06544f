"""The OpenAPI document is true: what it allows is answered as it says, and the rest refused."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from delegation.web.admin.openapi import document
from tests.web.admin.desk import Desk

CONFIG = {
    # Names may hold any character that can be printed, which no pattern can say.
    "generation": {"codec": "ascii", "allow-x00": False},
    "checks": {
        # What contradicts itself, or the clock, is refused though its form is right.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422"]},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
    },
}

OPERATIONS = [
    (path, method) for path, operations in document()["paths"].items() for method in operations
]


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode, ids=str)
@pytest.mark.parametrize(
    ("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS]
)
def test_the_document_is_true(desk: Desk, path: str, method: str, mode: GenerationMode) -> None:
    """Any request that it allows gets an answer that it describes; any other a problem."""
    desk.exchanged_next(desk.exchanged())
    schema = schemathesis.openapi.from_wsgi(
        "/admin/v1/openapi.json", desk.app, config=SchemathesisConfig.from_dict(CONFIG)
    )
    headers = {"Authorization": f"Bearer {desk.staff.token()}"}

    @settings(max_examples=30, suppress_health_check=[*HealthCheck])
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def each(case: Case) -> None:
        answer = case.call(headers=headers)
        # A made-up cursor has the right form, and is refused.
        without = [positive_data_acceptance] if b"/unknown-cursor" in answer.content else []
        case.validate_response(answer, headers=headers, excluded_checks=without)

    each()
