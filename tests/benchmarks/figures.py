"""What was measured: figures, each with a value for every round, as lines and as JSON."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

VERSION = 1
"""Of the JSON."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. *values* has one for each round; *group* is what it is shown below."""

    group: str
    name: str
    unit: str
    values: tuple[float, ...]

    @classmethod
    def of(cls, group: str, name: str, unit: str, values: Iterable[float]) -> Self:
        """With the values of all rounds."""
        return cls(group, name, unit, tuple(values))

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.values)

    @property
    def more_is_better(self) -> bool:
        """Whether one would like it to grow: of a rate, and of nothing else."""
        return self.unit == "/s"

    @property
    def shown(self) -> str:
        """Its median, and from where to where the rounds went."""
        spread = f"{_number(min(self.values))} to {_number(max(self.values))}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{_number(self.median)}{unit}" + (f"  ({spread})" if len(self.values) > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run: on which *machine*, how, and what was found."""

    machine: Mapping[str, str]
    settings: Mapping[str, str]
    figures: Sequence[Figure]
    remarks: Sequence[str] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Self:
        """One that was written. Raises `ValueError` where that is in another form."""
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if found.pop("version", None) != VERSION:
            raise ValueError(f"{path} is not a report of this version")
        figures = [
            Figure(one["group"], one["name"], one["unit"], tuple(one["values"]))
            for one in found.pop("figures")
        ]
        return cls(figures=figures, **found)

    def write(self, path: Path) -> None:
        """As JSON."""
        text = json.dumps({"version": VERSION} | asdict(self), indent=1)
        path.write_text(f"{text}\n", "utf-8")

    def lines(self) -> Iterator[str]:
        """For people."""
        for name, value in {**self.machine, **self.settings}.items():
            yield f"{name}: {value}"
        width = max((len(figure.name) for figure in self.figures), default=0)
        for group in dict.fromkeys(figure.group for figure in self.figures):
            yield f"\n{group}"
            for figure in self.figures:
                if figure.group == group:
                    yield f"  {figure.name:<{width}}  {figure.shown}"
        yield from (f"\n{remark}" for remark in self.remarks)


def _number(value: float) -> str:
    """With three figures that mean something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
