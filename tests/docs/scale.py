"""`python -m tests.docs.scale`: the sums on the page on scale, from the figures in its table."""

import contextlib
import io
import re
from typing import Any

from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs/scale.md"

_SUM = re.compile(
    r"(?<=^```python\n)(.*?)(^```\n\n```text\n).*?(?=^```$)", re.DOTALL | re.MULTILINE
)


def figures(text: str) -> dict[str, str]:
    """The table of the page: each figure with its value."""
    return {row[0]: row[1] for row in table(text, "figure", "value", "by")}


def summed(text: str) -> str:
    """The page, with what each of its blocks prints below it."""
    values = figures(text)

    def measured(figure: str) -> tuple[float, ...]:
        return tuple(float(number) for number in re.findall(r"\b\d+(?:\.\d+)?\b", values[figure]))

    names: dict[str, Any] = {"measured": measured}

    def anew(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[1], str(PAGE), "exec"), names)  # noqa: S102, it is our own page
        return block[1] + block[2] + printed.getvalue()

    return _SUM.sub(anew, text)


if __name__ == "__main__":
    PAGE.write_text(summed(PAGE.read_text("utf-8")), "utf-8")
