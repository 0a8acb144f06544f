"""What the sealer has done can be read from a file, and keeps nothing from being sealed."""

import shutil
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from delegation.domain.errors import Unavailable
from delegation.metrics.catalogue import SEALERS
from delegation.metrics.sealing import SealerFile, measured
from tests.audit.trails import InMemory, a_sealer, a_source


def said(file: Path) -> dict[str, float]:
    """Every number in *file*, by its name."""
    families = text_string_to_metric_families(file.read_text("ascii"))
    return {
        sample.name.removeprefix("delegation_audit_"): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    directory = tmp_path / "collected"
    directory.mkdir()
    return directory / "delegation.prom"


def test_what_was_sealed(file: Path) -> None:
    """Of all segments together: records, gaps, and when the last round was over."""
    moments = iter([100.0, 200.0])
    source = a_source(1, 2, 5)
    seal = measured(a_sealer(source, InMemory()), SealerFile(file, clock=lambda: next(moments)))
    before = said(file)

    sealed = list(seal())

    assert before["sealed_timestamp_seconds"] == 100
    assert [one.records for one in sealed] == [said(file)["records_total"]]
    assert said(file) == {
        "sealed_timestamp_seconds": 200,
        "records_total": sealed[0].records,
        "size": sealed[0].checkpoint.size,
        "lag_seconds": sealed[0].lag / 1000,
        "missing_total": 1,
        "failures_total": 0,
    }


@pytest.mark.parametrize("failure", [Unavailable("ledger_unreachable"), OSError(28, "full")])
def test_what_was_not_sealed(file: Path, failure: Exception) -> None:
    """It is counted, and nothing says that all was sealed."""

    def seal() -> list[object]:
        raise failure

    began = time.time()
    kept = SealerFile(file)
    with pytest.raises(type(failure)):
        list(measured(seal, kept)())  # type: ignore[arg-type, type-var]

    assert said(file)["failures_total"] == 1
    assert said(file)["sealed_timestamp_seconds"] == pytest.approx(began, abs=60)


def test_every_metric_is_there_from_the_beginning(file: Path) -> None:
    """With its meaning, before anything was sealed."""
    SealerFile(file)

    families = text_string_to_metric_families(file.read_text("ascii"))
    assert {(family.name, family.type, family.documentation) for family in families} == {
        (metric.family, metric.kind, metric.meaning) for metric in SEALERS
    }


def test_a_file_that_cannot_be_written(file: Path) -> None:
    """To begin with, that is said; later, the log says so, and sealing goes on."""
    kept = SealerFile(file)
    shutil.rmtree(file.parent)

    with capture_logs() as logs:
        sealed = list(measured(a_sealer(a_source(1), InMemory()), kept)())

    assert [one.records for one in sealed] == [1]
    assert {(line["event"], line["why"]) for line in logs} == {
        ("metrics_not_written", "No such file or directory")
    }
    with pytest.raises(FileNotFoundError):
        SealerFile(file)
