"""A first registry: an example that explains itself, lints clean, and permits nothing real."""

from importlib.resources import files
from pathlib import Path

from delegation.registry.fmt import SCHEMA
from delegation.registry.schema import schema_text


class AlreadyThere(Exception):
    """There is a registry already; it is left as it is."""


def write_skeleton(directory: Path, *, secret: str) -> Path:
    """Write a first file into *directory*, made if it is not there; its path.

    Beside it stands the schema that it names, for editors: no file of the registry itself.
    *secret* is the digest of the example client's secret, as the registry keeps it. Raises
    `AlreadyThere` where the directory holds anything, and `OSError`.
    """
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise AlreadyThere(f"{directory} is not empty, and is left as it is")
    path = directory / "registry.yaml"
    text = files(__package__).joinpath("skeleton.yaml").read_text(encoding="utf-8")
    (directory / SCHEMA).write_text(schema_text(), encoding="utf-8")
    path.write_text(text.replace("DIGEST", secret), encoding="utf-8")
    return path
