"""The service to ask: given in code, or read from the environment."""

import json
from pathlib import Path

import pytest

from delegation.client import ConfigurationInvalid, PrivateKey, Service
from delegation.client.credentials import Secret
from delegation.jose.keyring import Status, new_key

ISSUER = "https://sts.example"
KEY = json.dumps(new_key(status=Status.ACTIVE).kept()).encode()
USUAL = {
    "DELEGATION_ISSUER": ISSUER,
    "DELEGATION_CLIENT_ID": "calendar-mcp",
    "DELEGATION_CLIENT_SECRET": "the-secret",
}


def _problems(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationInvalid) as caught:
        Service.from_environment(environ)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_the_environment() -> None:
    """Three variables are enough; what belongs to others is not looked at."""
    service = Service.from_environment(USUAL | {"DELEGATION_REGISTRY": "/etc/registry"})

    assert service == Service(issuer=ISSUER, client_id="calendar-mcp", client_secret="the-secret")
    assert service.credential == Secret("the-secret")


def test_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, that of the process is read."""
    for name, value in USUAL.items():
        monkeypatch.setenv(name, value)

    assert Service.from_environment() == Service.from_environment(USUAL)


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    """Without the newline that editors add."""
    (tmp_path / "secret").write_text("the-secret\n")
    environ = USUAL | {"DELEGATION_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    del environ["DELEGATION_CLIENT_SECRET"]

    assert Service.from_environment(environ) == Service.from_environment(USUAL)


def test_a_key_in_a_file(tmp_path: Path) -> None:
    """Instead of a secret."""
    (tmp_path / "key.json").write_bytes(KEY)
    environ = USUAL | {"DELEGATION_CLIENT_KEY_FILE": str(tmp_path / "key.json")}
    del environ["DELEGATION_CLIENT_SECRET"]

    service = Service.from_environment(environ)

    assert service.credential == PrivateKey.parse(KEY)
    assert service == Service(
        issuer=ISSUER, client_id="calendar-mcp", client_key=PrivateKey.parse(KEY)
    )


def test_a_named_endpoint() -> None:
    """Where a server has no metadata, its endpoint is named."""
    environ = USUAL | {"DELEGATION_TOKEN_ENDPOINT": "https://sts.example/oauth/token"}

    assert Service.from_environment(environ).token_endpoint == "https://sts.example/oauth/token"


def test_nothing_is_set() -> None:
    """All that is missing is said at once."""
    assert _problems({}) == (
        "DELEGATION_CLIENT_ID: is not set: who asks, as the registry calls it",
        (
            "DELEGATION_CLIENT_SECRET: is not set: set it, or DELEGATION_CLIENT_SECRET_FILE or "
            "DELEGATION_CLIENT_KEY_FILE"
        ),
        "DELEGATION_ISSUER: is not set: the issuer identifier of the service to ask",
    )


def test_everything_is_wrong(tmp_path: Path) -> None:
    """So is all that is wrong; values are not shown."""
    environ = {
        "DELEGATION_ISSUER": "http://sts.example",
        "DELEGATION_CLIENT_ID": "",
        "DELEGATION_CLIENT_SECRET": "the-secret",
        "DELEGATION_CLIENT_SECRET_FILE": str(tmp_path / "missing"),
        "DELEGATION_CLIENT_KEY_FILE": str(tmp_path / "missing"),
        "DELEGATION_TOKEN_ENDPOINT": "/token",
    }

    problems = _problems(environ)

    assert [problem.split(" ")[0] for problem in problems] == [
        "DELEGATION_CLIENT_ID:",
        "DELEGATION_CLIENT_SECRET:",
        "DELEGATION_ISSUER:",
        "DELEGATION_TOKEN_ENDPOINT:",
    ]
    assert problems[1] == (
        "DELEGATION_CLIENT_SECRET: is set together with DELEGATION_CLIENT_SECRET_FILE and "
        "DELEGATION_CLIENT_KEY_FILE: leave one"
    )
    assert "the-secret" not in "".join(problems)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("CLIENT_SECRET_FILE", None, "the path of a file that can be read"),
        ("CLIENT_KEY_FILE", None, "the path of a file that can be read"),
        ("CLIENT_SECRET_FILE", b" \n", "a file with a secret, and holds none"),
        ("CLIENT_SECRET_FILE", b"\xff\xfe", "a file with a secret, and holds none"),
        ("CLIENT_KEY_FILE", b"the-secret", "must be a private JWK"),
    ],
)
def test_files_of_no_use(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    """What is wrong with a file is said, and nothing of what stands in it."""
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    environ = USUAL | {f"DELEGATION_{name}": str(tmp_path / "file")}
    del environ["DELEGATION_CLIENT_SECRET"]

    (problem,) = _problems(environ)

    assert problem.startswith(f"DELEGATION_{name}: ")
    assert reason in problem
    assert "the-secret" not in problem


@pytest.mark.parametrize("variable", ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "TOKEN_ENDPOINT"])
def test_an_empty_variable(variable: str) -> None:
    """It is a mistake, not an absent one."""
    (problem,) = _problems(USUAL | {f"DELEGATION_{variable}": ""})

    assert problem == f"DELEGATION_{variable}: is empty: give it a value, or unset it"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"issuer": "http://sts.example"}, "issuer: "),
        ({"token_endpoint": "http://sts.example/token"}, "token_endpoint: "),
        ({"client_id": ""}, "client_id: "),
        ({"client_secret": ""}, "client_secret: is empty"),
        ({"client_secret": None}, "client_secret, client_key: "),
        ({"client_key": PrivateKey.parse(KEY)}, "client_secret, client_key: "),
    ],
)
def test_given_in_code(changes: dict[str, object], problem: str) -> None:
    """The same holds there: there is one credential, and it goes where secrets may go."""
    usual = {"issuer": ISSUER, "client_id": "calendar-mcp", "client_secret": "the-secret"}

    with pytest.raises(ConfigurationInvalid) as caught:
        Service(**(usual | changes))  # type: ignore[arg-type]

    (said,) = caught.value.problems
    assert said.startswith(problem)


def test_nothing_secret_is_shown() -> None:
    """Neither by a service, nor by what is wrong with one."""
    assert "the-secret" not in repr(Service.from_environment(USUAL))
