"""A report: written, read, drawn; and made by a real, short run."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks.figures import Figure, Report
from tests.benchmarks.picture import picture

REPORT = Report(
    machine={"machine": "2 cores <fast> & cool"},
    settings={"load": "bundled"},
    figures=[
        Figure("an exchange", "CPU", "us", (100.0, 120.0, 110.0)),
        Figure("an exchange", "added", "us", (-5.0, -1.0, -3.0)),
        Figure("an exchange", "per second", "/s", (900.0,)),
    ],
    remarks=["The machine was quiet."],
)

_SVG = "{http://www.w3.org/2000/svg}"


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """With every round."""
    REPORT.write(tmp_path / "now.json")

    assert Report.read(tmp_path / "now.json").figures == REPORT.figures


def test_another_form_is_not_read(tmp_path: Path) -> None:
    """A file of another version is refused, not guessed at."""
    (tmp_path / "other.json").write_text('{"version": 0}')

    with pytest.raises(ValueError, match="not a report of this version"):
        Report.read(tmp_path / "other.json")


def test_lines_tell_the_median_and_the_spread() -> None:
    """And all that the machine was."""
    told = "\n".join(REPORT.lines())

    assert "110 us  (100 to 120)" in told
    assert "900 /s\n" in told
    assert "2 cores" in told


def test_a_picture_is_sound_and_to_scale() -> None:
    """A bar for each figure, as long as its median is; none is shorter than nothing."""
    root = ET.fromstring(picture(REPORT))  # noqa: S314, we have just written it

    bars = [float(bar.attrib["width"]) for bar in root.iter(f"{_SVG}rect")]
    assert len(bars) == len(REPORT.figures)
    assert bars[0] == pytest.approx(bars[2] * 110 / 120, rel=0.01)
    assert bars[1] == 0
    assert any("<fast> & cool" in (text.text or "") for text in root.iter(f"{_SVG}text"))


@pytest.mark.slow
def test_the_core_runs(tmp_path: Path) -> None:
    """One short round of the real thing: all exchanges granted, and every figure is there."""
    written = tmp_path / "now.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--rounds", "1", "--seconds", "0.05"]

    subprocess.run([*command, "--json", written], check=True, capture_output=True)  # noqa: S603

    found = {figure.name: figure.median for figure in Report.read(written).figures}
    assert found["worker CPU per exchange"] > found["raw ES256 verify + sign"] > 0
    assert found["worker CPU per exchange"] > found["worker CPU of an empty view"] > 0
    assert 1 <= found["scripts run in the store per exchange"] < 2
    assert found["bytes per live exchange, after sealing"] > 0
