"""A report as a picture: a bar for the median of each figure, a line from least to most (SVG)."""

from collections.abc import Iterator
from itertools import groupby
from xml.sax.saxutils import escape

from tests.benchmarks.figures import Figure, Report

_WIDTH, _LEFT, _BAR, _ROW = 1060, 480, 440, 22
"""Pixels: of all, of the names, of the longest bar, and from one bar to the next."""

_STYLE = """
text { font: 13px sans-serif; fill: #222 }
.title { font-weight: bold }
.note { fill: #666; font-size: 11px }
rect { fill: #4477aa }
line { stroke: #222; stroke-width: 1.5 }
"""


def picture(report: Report) -> str:
    """All figures of *report*: below one title are those of one group in one unit, on one scale."""
    parts, y = [], 10
    for about in (report.machine, report.settings):
        y += 18
        parts.append(
            _text(16, y, " · ".join(f"{name}: {said}" for name, said in about.items()), "note")
        )
    for (group, unit), figures in groupby(report.figures, lambda one: (one.group, one.unit)):
        y += 40
        parts.append(_text(16, y, f"{group} ({unit or 'ratio'})", "title"))
        y += 8
        shown = list(figures)
        longest = max(max(figure.values) for figure in shown)
        for figure in shown:
            parts += _row(figure, y, _BAR / longest if longest > 0 else 0)
            y += _ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 20}">'
    background = f'<path fill="#fff" d="M0 0h{_WIDTH}v{y + 20}H0z"/>'
    return "\n".join((head, f"<style>{_STYLE}</style>", background, *parts, "</svg>\n"))


def _row(figure: Figure, y: int, scale: float) -> Iterator[str]:
    middle, length = y + _ROW / 2, max(0, figure.median * scale)
    yield _text(_LEFT - 10, middle + 4, figure.name, "name", anchor="end")
    yield f'<rect x="{_LEFT}" y="{y + 4}" width="{length:.1f}" height="{_ROW - 8}"/>'
    if len(figure.values) > 1:
        ends = [_LEFT + max(0, end * scale) for end in (min(figure.values), max(figure.values))]
        yield f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle}" y2="{middle}"/>'
    yield _text(_LEFT + _BAR + 12, middle + 4, figure.shown.partition("  ")[0], "value")


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    place = f'x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"
