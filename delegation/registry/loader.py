"""A directory of YAML files to one registry: all of it, or every reason why not."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self

from delegation.domain.registry import Registry
from delegation.registry.build import build
from delegation.registry.checks import check
from delegation.registry.documents import read
from delegation.registry.entries import Entries, collect
from delegation.registry.problems import Code, Problem, RegistryInvalid

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Ten thousand grants and more."""

_ENDINGS = (".yaml", ".yml")

_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of a registry as they were read, once: relative names and contents, in order."""

    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def revision(self) -> str:
        """SHA-256 of all names and contents, in hex: equal for equal files, wherever they are."""
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def packed(self) -> bytes:
        """All of it as bytes, for `unpacked`."""
        return b"".join(self._pieces())

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """The snapshot that was `packed`."""
        stream = BytesIO(packed)
        parts = []
        while length := stream.read(_LENGTH):
            parts.append(stream.read(int.from_bytes(length)))
        return cls(tuple(zip(map(os.fsdecode, parts[::2]), parts[1::2], strict=True)))

    def _pieces(self) -> Iterator[bytes]:
        """Each name and each content, after its length: no two snapshots have the same."""
        for name, content in self.files:
            for part in (os.fsencode(name), content):
                yield len(part).to_bytes(_LENGTH)
                yield part


def load(directory: Path, *, issuer: str, admin_audience: str | None = None) -> Registry:
    """The registry that the files in *directory* describe, for a service that is itself *issuer*.

    *admin_audience* is what administrators' tokens are for; `None` for what is usual. Without the
    directory, or without files, it permits nothing. Raises `RegistryInvalid`.
    """
    return parse(snapshot(directory), issuer=issuer, admin_audience=admin_audience)


def snapshot(directory: Path) -> Snapshot:
    """Read every `*.yaml` and `*.yml` in *directory* and below; what is hidden is left out.

    Links are followed. *directory* is resolved once, so a link that is swapped meanwhile leads to
    the old files or the new ones, never to some of each. Raises `RegistryInvalid` where anything
    cannot be read.
    """
    try:
        root = directory.resolve(strict=True)
    except FileNotFoundError:
        return Snapshot()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
        raise RegistryInvalid([_unreadable(".", error)]) from None
    problems: list[Problem] = []
    files = []
    for path in _files(root, root, problems):
        name = path.relative_to(root).as_posix()
        try:
            files.append((name, _content(path)))
        except OSError as error:
            problems.append(_unreadable(name, error))
    if problems:
        raise RegistryInvalid(problems)
    return Snapshot(tuple(sorted(files)))


def parse(files: Snapshot, *, issuer: str, admin_audience: str | None = None) -> Registry:
    """The registry that *files* describe. Raises `RegistryInvalid` with all that is wrong."""
    return Parser(issuer=issuer, admin_audience=admin_audience).parse(files)


class Parser:
    """Parses one snapshot after another, and no file again that is as it was.

    What comes of a file is kept by its name and the digest of its content, right or wrong, for as
    long as each following snapshot has it. Not for several threads at once.
    """

    def __init__(self, *, issuer: str, admin_audience: str | None = None) -> None:
        self._issuer = issuer
        self._admin_audience = admin_audience
        self._kept: dict[tuple[str, bytes], tuple[Entries, list[Problem]]] = {}

    def parse(self, files: Snapshot) -> Registry:
        """The registry that *files* describe. Raises `RegistryInvalid` with all that is wrong."""
        entries, problems = self.examine(files)
        if problems:
            raise RegistryInvalid(problems)
        return build(
            entries,
            issuer=self._issuer,
            revision=files.revision,
            admin_audience=self._admin_audience,
        )

    def examine(self, files: Snapshot) -> tuple[Entries, list[Problem]]:
        """The entries of *files* that are right in themselves, and all that is wrong."""
        entries, problems = self._collected(files)
        problems += check(entries, issuer=self._issuer, admin_audience=self._admin_audience)
        return entries, problems

    def _collected(self, files: Snapshot) -> tuple[Entries, list[Problem]]:
        """The entries of all *files*, in order, and what is wrong with those left out."""
        known, self._kept = self._kept, {}
        entries = Entries()
        problems: list[Problem] = []
        for name, content in files.files:
            key = name, hashlib.sha256(content).digest()
            self._kept[key] = known.get(key) or collect(read(name, content))
            of_this_file, amiss = self._kept[key]
            entries.add(of_this_file)
            problems += amiss
        return entries, problems


def _files(directory: Path, root: Path, problems: list[Problem]) -> Iterator[Path]:
    """The YAML files in *directory* and below. A link back to where it stands is a problem."""
    try:
        found = [(path, path.is_dir()) for path in sorted(directory.iterdir())]
    except OSError as error:
        problems.append(_unreadable(directory.relative_to(root).as_posix(), error))
        return
    above = {one.resolve() for one in (directory, *directory.parents)}
    for path, is_directory in found:
        if path.name.startswith("."):
            continue
        if not is_directory:
            if path.name.endswith(_ENDINGS):
                yield path
        elif path.resolve() in above:
            name = path.relative_to(root).as_posix()
            problems.append(_unreadable(name, OSError("a link to what it stands in: remove it")))
        else:
            yield from _files(path, root, problems)


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise OSError("not a regular file: remove it")  # a pipe would never end
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError("larger than 16 MiB: divide it")
    return content


def _unreadable(name: str, error: Exception) -> Problem:
    reason = getattr(error, "strerror", None) or error
    message = f"this cannot be read: {reason}"
    return Problem(name, 1, Code.UNREADABLE, message)
