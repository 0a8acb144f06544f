"""The Dockerfile, stage by stage; and what it does, done here, without containers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.deploy.places import DEPLOY, ROOT


@dataclass(frozen=True, slots=True)
class Stage:
    """What follows one FROM: each instruction with its value. The last stage has no *name*."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        """Those of one kind of instruction."""
        return [value for known, value in self.instructions if known == instruction]

    def command(self, instruction: str) -> list[str]:
        """The one command of that kind, which needs no shell."""
        [value] = self.values(instruction)
        return words(value[value.index("[") :])

    def environment(self) -> dict[str, str]:
        """What its ENV sets."""
        pairs = (pair for value in self.values("ENV") for pair in value.split())
        return dict(pair.split("=", 1) for pair in pairs)


def words(value: str) -> list[str]:
    """A command in the form that no shell reads."""
    found = json.loads(value)
    assert all(isinstance(word, str) for word in found)
    return list(found)


def stages() -> dict[str, Stage]:
    """The stages, by name."""
    parser = DockerfileParser(path=str(DEPLOY / "Dockerfile"))
    found: list[Stage] = []
    for entry in parser.structure:
        instruction, value = entry["instruction"], entry["value"]
        if instruction == "FROM":
            base, _, name = value.partition(" AS ")
            found.append(Stage(base, name))
        elif found and instruction != "COMMENT":
            found[-1].instructions.append((instruction, value))
    return {stage.name: stage for stage in found}


def copied(stage: Stage) -> list[tuple[list[str], str]]:
    """What COPY takes from the project, and where to."""
    found = []
    for value in stage.values("COPY"):
        *sources, target = value.split()
        if not sources[0].startswith("--from="):
            found.append((sources, target))
    return found


def build(stage: Stage, directory: Path, *, environment: Mapping[str, str]) -> Path:
    """Do in *directory* what *stage* does in the image; where it has put the service.

    Its `python` is one of this test's own, and its paths are below *directory*.
    """
    base, target = directory / "python", directory / "delegation"
    context = directory / "build"
    context.mkdir()
    subprocess.run([sys.executable, "-m", "venv", base], check=True)  # noqa: S603, our own command
    for instruction, value in stage.instructions:
        if instruction == "COPY":
            *sources, place = value.split()
            for source in sources:
                _copy(ROOT / source, context / place, into=place.endswith("/"))
        elif instruction == "RUN":
            here = [word.replace("/opt/delegation", str(target)) for word in words(value)]
            here[0] = {"python": str(base / "bin/python")}[here[0]]
            done = subprocess.run(  # noqa: S603, it is our own Dockerfile
                here,
                cwd=context,
                env={**environment, **stage.environment()},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    return target


def _copy(source: Path, target: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return
    place = target / source.name if into or target.is_dir() else target
    place.parent.mkdir(exist_ok=True)
    shutil.copy(source, place)
