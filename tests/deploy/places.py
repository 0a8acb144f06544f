"""Where what is deployed stands, and how it is read."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
"""The project."""

DEPLOY = ROOT / "deploy"


def documents(path: Path) -> Iterator[Any]:
    """The YAML documents of a file."""
    yield from yaml.safe_load_all(path.read_text("utf-8"))


def prepare(directory: Path, *, store: str) -> None:
    """Make the store's passwords in *directory*, as an operator does."""
    command = [sys.executable, DEPLOY / "prepare.py", directory, "--store", store]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603, our own command


def url(directory: Path, name: str) -> str:
    """What stands in one of the files with a URL."""
    return (directory / f"{name}.url").read_text("ascii").strip()
