"""How hard Hypothesis tries, and what a run of ten thousand tests need not do over and over.

Hypothesis tries repeatably for every change, and at length for the slow suite.
"""

import gc
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.conformance import marks
from tests.secrecy import leaking, leaks

# A shared or busy machine must not turn into a failure: no deadline, and slow drawing is no fault.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=50,  # of the suite's five minutes; coverage makes each twice as dear
    suppress_health_check=[HealthCheck.too_slow],
)
# pytest --hypothesis-profile=thorough: other examples at every run, and many more of them.
settings.register_profile(
    "thorough", settings.get_profile("ci"), derandomize=False, max_examples=1000
)
settings.load_profile("ci")

_HERE = Path(__file__).parent

_FROM_OUTSIDE = (
    "attacks",
    "deploy",
    "docs",
    "integration/test_evidence.py",
    "integration/test_outages.py",
    "integration/test_probe.py",
    "integration/test_questions.py",
    "integration/test_workers.py",
    "interop",
    "mcp/test_pages.py",
    "resilience/test_changes.py",
    "resilience/test_failover.py",
    "resilience/test_stopping.py",
    "vectors",
)
"""Whose processes are not measured: other tests run the same lines of a service or a command, which
starts and answers in half the time when nobody counts along.
"""

_MEASURED = "COVERAGE_PROCESS_CONFIG"
"""The variable by which a process knows that it is."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Note the marks while all tests are there: none is deselected yet.

    And measure no properties of the domain: what they are about are decisions, not lines, and every
    line is run by some example besides.
    """
    marks.remember(items)
    for item in items:
        if item.path.is_relative_to(_HERE / "domain") and is_hypothesis_test(_function(item)):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True, scope="session")
def _nothing_entrusted_is_written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No log of any process that any test has started holds a token, an assertion or a secret."""
    yield
    assert leaking(tmp_path_factory.getbasetemp()) == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[pytest.TestReport]:
    """Nor does what commands and services have written to where a test did not look."""
    report: pytest.TestReport = yield
    phase = f"Captured stderr {report.when}"
    written = "".join(text for name, text in report.sections if name == phase)
    if report.passed and [*leaks(written, known=())]:
        report.outcome, report.longrepr = "failed", "a secret was written to standard error"
    return report


def _function(item: pytest.Item) -> object:
    return getattr(item, "obj", None)


def pytest_collection_finish() -> None:
    """Leave out what stands by now whenever garbage is collected: half a million objects that
    stay until the end.
    """
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let the processes that a test starts be measured, or not."""
    path = item.path.relative_to(_HERE).as_posix()
    measured = os.environ.get(_MEASURED)
    if measured is None or not path.startswith(_FROM_OUTSIDE):
        return (yield)
    del os.environ[_MEASURED]
    try:
        return (yield)
    finally:
        os.environ[_MEASURED] = measured
