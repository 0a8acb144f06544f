"""The image: made of what is locked, run by nobody in particular, and what it does, done here."""

import fnmatch
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from delegation.dev.servers import listening
from tests.deploy.dockerfile import Stage, build, copied, stages, words
from tests.deploy.places import DEPLOY, ROOT
from tests.resilience.load import wait_until
from tests.world import a_test_world

TEXT = (DEPLOY / "Dockerfile").read_text()
STAGES = stages()
FINAL = STAGES[""]


def test_it_names_no_registry() -> None:
    """Whose registry it is, whoever builds says: there is a tag, which can be a digest instead."""
    bases = [stage.base for stage in STAGES.values()]

    assert set(bases) == {"${PYTHON}"}
    assert re.findall(r"^ARG PYTHON=(.*)$", TEXT, re.MULTILINE) == ["python:3.13-slim"]
    assert "ADD" not in {name for stage in STAGES.values() for name, _ in stage.instructions}
    assert "://" not in re.sub(r"http://127\.0\.0\.1\S*", "", TEXT)


@pytest.mark.parametrize("name", ["", "demo"], ids=["service", "demo"])
def test_it_is_run_by_nobody_in_particular(name: str) -> None:
    """By a number, which every orchestrator can see is not root's; nothing comes after that."""
    stage = STAGES[name]

    assert stage.values("USER") == ["10001:10001"]
    order = [instruction for instruction, _ in stage.instructions]
    assert not {"RUN", "COPY"} & set(order[order.index("USER") :])
    assert stage.values("STOPSIGNAL") == ["SIGTERM"]


def test_it_serves() -> None:
    """By itself it serves; whatever else the command can do, it is asked for by name."""
    assert FINAL.command("ENTRYPOINT") == ["delegation"]
    assert FINAL.command("CMD") == ["serve"]


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name or "final")
def test_no_shell_is_needed(stage: Stage) -> None:
    """What it runs is a list of words."""
    for value in stage.values("RUN"):
        assert words(value)


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name or "final")
def test_all_that_is_installed_is_locked(stage: Stage) -> None:
    """By a digest of the lock file, or made right here."""
    installs = [words(value) for value in stage.values("RUN") if '"install", "--' in value]
    for command in installs:
        if command[0] == "python":
            assert "--require-hashes" in command or {"--no-deps", "--no-index"} <= {*command}
            assert stage.environment()["PIP_ONLY_BINARY"] == ":all:"


def test_the_lock_for_the_build_is_that_of_development() -> None:
    """What builds the wheel here builds it there."""
    pinned = re.compile(r"^([a-z0-9-]+==\S+)", re.MULTILINE)
    locked = {*pinned.findall((ROOT / "requirements/dev.txt").read_text())}

    for name in ("build.txt", "server.txt"):
        assert {*pinned.findall((ROOT / "requirements" / name).read_text())} <= locked


def test_what_is_copied_is_there_and_let_through() -> None:
    """And of the project nothing else gets near the image."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = [line[1:].rstrip("/") for line in ignored if line.startswith("!")]
    sources = {one for stage in STAGES.values() for found, _ in copied(stage) for one in found}

    assert "*" in ignored
    for source in sources:
        assert (ROOT / source).exists()
        assert any(
            fnmatch.fnmatch(source, one) or source.startswith(f"{one}/") for one in let_through
        )
    for one in let_through:
        assert any(source == one or source.startswith(f"{one}/") for source in sources)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_the_image_does(tmp_path: Path) -> None:
    """What it is made by is done here; then it serves, says that it is healthy, and stops."""
    environment = {
        name: text for name, text in os.environ.items() if name[:4] not in {"DELE", "PYTH"}
    }
    installed = build(STAGES["build"], tmp_path, environment=environment)
    assert not (installed / "bin/pip").exists()

    (tmp_path / "world").mkdir()
    with a_test_world(tmp_path / "world") as world, listening(0) as listener:
        port = listener.getsockname()[1]
        listener.close()
        settings = {**world.world.environment, "DELEGATION_BIND": f"127.0.0.1:{port}"}
        entry = [installed / "bin/delegation"]
        running = environment | settings | {"TMPDIR": str(tmp_path)}
        process = subprocess.Popen([*entry, *FINAL.command("CMD")], env=running)  # noqa: S603
        try:
            health = FINAL.command("HEALTHCHECK")
            health = [word.replace(":8080", f":{port}") for word in health]
            health[0] = str(installed / "bin/python")
            wait_until(lambda: _ran(health, running))
            process.send_signal(getattr(signal, FINAL.values("STOPSIGNAL")[0]))
            assert process.wait(30) == 0
            assert not _ran(health, running)
        finally:
            process.kill()
            process.wait()


def _ran(command: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0
