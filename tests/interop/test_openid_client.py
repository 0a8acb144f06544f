"""openid-client for Node.js, as it comes, and jose, which verifies what it got."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.endpoint import ACCESS_TOKEN
from tests.interop.stranger import Stranger, blocks, must_say_who_acts
from tests.world import TestWorld

NODE = Path(__file__).parent / "node"
FILES = ("exchange.mjs", "package.json", "package-lock.json")

OLDEST = 20
"""The oldest Node.js that openid-client runs on."""

OFFLINE = ("EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "ENOTCACHED", "ENOTFOUND", "ETIMEDOUT")
"""How npm says that it reached nobody."""


WAYS = [
    pytest.param(Stranger.with_secret, id="basic"),
    pytest.param(Stranger.with_key, id="key"),
]


def _ran(*command: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603, it is our own script
        command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not here: Node.js {OLDEST} or later, with npm, is needed")
    return path


@pytest.fixture(name="folder", scope="session")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our script and the packages that its lock names, by their digests."""
    node, npm = _tool("node"), _tool("npm")
    folder = tmp_path_factory.mktemp("node")
    version = _ran(node, "--version", cwd=folder).stdout
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        pytest.skip(f"Node.js {OLDEST} or later is needed, this is {version.strip()}")
    for name in FILES:
        shutil.copy(NODE / name, folder)
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    installed = _ran(npm, "ci", *quietly, cwd=folder)
    if any(f"code {sign}" in installed.stderr for sign in OFFLINE):
        pytest.skip("npm reaches no registry")
    assert installed.returncode == 0, installed.stderr
    return folder


def _told(folder: Path, stranger: Stranger, **changes: str) -> dict[str, Any]:
    """What the script says of one exchange."""
    asked = {_camel(name): value for name, value in stranger.names(**changes).items()}
    run = _ran(_tool("node"), "exchange.mjs", cwd=folder, stdin=json.dumps(asked))
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


@pytest.mark.standard("8414-1", "8414-2", "8693-2.2.1-2", "8693-2.2.1-3", "7523-1", "7523bis-1")
@pytest.mark.standard("9068-2.1-1", "8707-2-3", "8693-4.1-2", "JWKS-1")
@pytest.mark.parametrize("who", WAYS)
def test_it_exchanges(
    shared: TestWorld, folder: Path, who: Callable[[TestWorld], Stranger]
) -> None:
    """It finds the endpoint, authenticates as it does by itself, and jose verifies the token."""
    stranger = who(shared)

    told = _told(folder, stranger)

    issued = told["issued"]
    assert issued["issued_token_type"] == ACCESS_TOKEN
    assert issued["token_type"] == "bearer"
    assert 0 < issued["expires_in"] <= 300
    assert issued["scope"] == "events.read"
    assert told["header"]["typ"] == "at+jwt"
    must_say_who_acts(told["claims"], stranger)


@pytest.mark.standard("8693-2.2.2-2", "8693-2.2.2-3")
@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"scope": "admin"}, "invalid_scope", "not_permitted"),
        ({"resource": "https://nowhere.example"}, "invalid_target", "not_permitted"),
        ({"subject_token": "nonsense"}, "invalid_request", "subject_token_rejected"),
    ],
    ids=["scope", "target", "token"],
)
def test_it_understands_a_refusal(
    shared: TestWorld, folder: Path, *, changes: dict[str, str], error: str, reason: str
) -> None:
    """Our error code and our reason arrive in its own exception."""
    refusal = _told(folder, Stranger.with_secret(shared), **changes)["refusal"]

    assert refusal["raised"] == "ResponseBodyError"
    assert refusal["error"] == error
    assert refusal["cause"]["reason"] == reason


@pytest.mark.standard("6749-5.2-1")
def test_it_understands_a_challenge(shared: TestWorld, folder: Path) -> None:
    """Who is not who it claims to be is challenged, and it reads the challenge."""
    refusal = _told(folder, Stranger.with_secret(shared), secret="guess")["refusal"]

    assert refusal["raised"] == "WWWAuthenticateChallengeError"
    assert refusal["status"] == 401
    assert refusal["cause"] == [{"scheme": "basic", "parameters": {"realm": "delegation"}}]


def test_the_script_is_what_the_page_shows() -> None:
    """All lines of the page's blocks but the imports stand in the script, in one piece."""
    script = _lines((NODE / "exchange.mjs").read_text("utf-8"))

    for section in ("openid-client", "At the API"):
        for block in blocks(section, "js"):
            assert _lines(block) in script


def _lines(text: str) -> str:
    """The lines of a script, with their indentation and its imports left out."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("import "))


def test_no_package_says_where_it_comes_from() -> None:
    """The lock names packages by their digests, and no host: each machine has its own registry."""
    lock: Mapping[str, Any] = json.loads((NODE / "package-lock.json").read_text("utf-8"))

    _, *packages = lock["packages"].values()

    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)
