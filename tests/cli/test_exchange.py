"""`delegation exchange`: what it sends, what it shows, and what a hostile server gets out of it."""

import base64
import json
from pathlib import Path
from urllib.parse import parse_qsl

import jwt
import pytest

from delegation.client import wire
from tests.cli.command import Ran, run
from tests.client.server import METADATA, TOKEN, Server

SECRET = "dlg_the-secret"

HOSTILE = "\x1b[31m[bold]:smile:\x9b\r\n\u202egnp\u2066\x7f\ud800"
SHOWN = r"\x1b[31m[bold]:smile:\x9b\r\n\u202egnp\u2066\x7f\ud800"


def _exchange(server: Server, *arguments: str, given: str | bytes = "", **settings: str) -> Ran:
    environment = {
        "DELEGATION_ISSUER": server.url,
        "DELEGATION_CLIENT_ID": "calendar-mcp",
        "DELEGATION_CLIENT_SECRET": SECRET,
        "DELEGATION_RESOURCE": "https://calendar.example/api",
    }
    changes = {f"DELEGATION_{name}": text for name, text in settings.items()}
    if "--subject-token" not in arguments:
        arguments = (*arguments, "--subject-token", "the-users-token")
    return run("exchange", *arguments, environment=environment | changes, given=given)


def _token(**claims: object) -> str:
    return jwt.encode({"sub": "corp|alice", **claims}, "k" * 32)


def test_what_is_shown(server: Server) -> None:
    """The answer's members, who acts for whom, and every claim of the token."""
    claims = {
        "aud": "https://calendar.example/api",
        "act": {"sub": "calendar-mcp", "act": {"sub": "desk-agent"}},
    }
    server.issues(access_token=_token(**claims))

    ran = _exchange(server)

    assert (ran.status, ran.err) == (0, "")
    members, _, decoded = ran.out.partition("\n\n")
    assert (
        members
        == """\
issued_token_type  urn:ietf:params:oauth:token-type:access_token
token_type         Bearer
expires_in         300
scope              events.read
audience           https://calendar.example/api
who                corp|alice ← desk-agent ← calendar-mcp"""
    )
    assert json.loads(decoded) == {"sub": "corp|alice", **claims}
    assert SECRET not in ran.out


def test_the_token_alone(server: Server) -> None:
    """For scripts; what is given on standard input is the subject token."""
    ran = _exchange(server, "--raw", "--subject-token", "-", given="  from-a-pipe\n")

    assert ran.out == "opaque\n"
    assert "subject_token=from-a-pipe&" in server.asked[-1].content


def test_who_acts_by_standard_input(server: Server) -> None:
    """One of the two tokens can be read from there, whichever it is."""
    arguments = ("--actor-token", "-", "--actor-token-type", "urn:x")

    ran = _exchange(server, "--raw", *arguments, given="from-a-pipe\n")

    assert (ran.out, ran.err) == ("opaque\n", "")
    sent = dict(parse_qsl(server.asked[-1].content))
    assert sent["subject_token"] == "the-users-token"
    assert (sent["actor_token"], sent["actor_token_type"]) == ("from-a-pipe", "urn:x")


def test_one_token_by_standard_input(server: Server) -> None:
    """Nothing is split or guessed where both are to be read."""
    arguments = ("--actor-token", "-", "--actor-token-type", "urn:x", "--subject-token", "-")

    ran = _exchange(server, *arguments, given="from-a-pipe\n")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.endswith("Error: Only one token can be read from standard input.\n")
    assert TOKEN not in {asked.path for asked in server.asked}


@pytest.mark.standard("8693-2.1-5")
@pytest.mark.parametrize("half", [("--actor-token", "t"), ("--actor-token-type", "urn:x")])
def test_half_an_actor(server: Server, half: tuple[str, str]) -> None:
    """Token and type belong together (RFC 8693 §2.1): the one without the other is not sent."""
    for arguments in ((), ("--curl",)):
        ran = _exchange(server, *half, *arguments)

        assert (ran.status, ran.out) == (2, "")
        assert ran.err.endswith("Error: Give --actor-token and --actor-token-type together.\n")
    assert server.asked == []


def test_a_token_that_is_no_jwt(server: Server) -> None:
    """It is said; nothing is guessed."""
    assert _exchange(server).out.endswith(
        "\n\nThe token is no JWT: only its issuer can say what it means.\n"
    )


@pytest.mark.parametrize(
    "token",
    [
        "\ud800.\ud800.\ud800",
        "..",
        "[.]." * 9,
        jwt.PyJWS().encode(b"[]", "k" * 32),
        jwt.PyJWS().encode(b'{"act":' * 5000 + b"1" + b"}" * 5000, "k" * 32),
        jwt.PyJWS().encode(b'{"act":' * 300 + b"1" + b"}" * 300, "k" * 32),
    ],
    ids=["surrogates", "empty", "brackets", "array", "very deep", "deep"],
)
def test_a_token_that_is_broken(server: Server, token: str) -> None:
    """Whatever it is, it is no JWT to us."""
    server.issues(access_token=token)

    ran = _exchange(server)

    assert (ran.status, ran.err) == (0, "")
    assert "is no JWT" in ran.out


def _is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def test_a_hostile_answer(server: Server) -> None:
    """Nothing in an answer or in a token acts on the terminal, or looks like a line of ours."""
    token = _token(sub=HOSTILE, aud=[HOSTILE], act={"sub": HOSTILE}, **{HOSTILE: 1})
    server.issues(access_token=token, scope=HOSTILE, token_type={HOSTILE: 1})

    ran = _exchange(server)

    assert ran.status == 0
    assert _is_harmless(ran.out)
    assert f"scope              {SHOWN}\n" in ran.out
    assert f"who                {SHOWN} ← {SHOWN}\n" in ran.out


def test_a_hostile_raw_token(server: Server) -> None:
    """Even alone it is one line, which acts on nothing."""
    server.issues(access_token=HOSTILE)

    assert _exchange(server, "--raw").out == f"{SHOWN}\n"


@pytest.mark.parametrize(
    ("status", "shown"), [(400, "\n  decision: 17-abc"), (503, "")], ids=["refusal", "outage"]
)
def test_no_token(server: Server, status: int, shown: str) -> None:
    """All that the server said, whichever way it said no; and where to ask why, if it decided."""
    body = b'{"error": "invalid_target", "reason": "not_permitted"}'
    server.says(TOKEN, body, status, Delegation_Decision="17-abc")

    ran = _exchange(server)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        f"Refused, with status {status}:\n  error: invalid_target\n  reason: not_permitted{shown}\n"
    )


def test_a_hostile_refusal(server: Server) -> None:
    """Nor does a refusal; and it does not fill the screen."""
    body = {"error": HOSTILE, HOSTILE: "name", "long": "x " * 5_000, "odd": [HOSTILE]}
    server.says(
        TOKEN, json.dumps(body).encode(), 400, Delegation_Decision="\u009b31m".encode().decode("l1")
    )

    ran = _exchange(server)

    assert (ran.status, ran.out) == (1, "")
    assert _is_harmless(ran.err)
    assert ran.err.startswith(f"Refused, with status 400:\n  error: {SHOWN}\n  {SHOWN}: name\n")
    assert len(ran.err) < 1500
    assert "decision:" not in ran.err


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (TOKEN, b"<html>", 502, "URL/token answered 502, and no JSON object.\n"),
        (TOKEN, b"{}", 200, "URL/token answered 200, and no access_token.\n"),
        (TOKEN, b"", 307, "URL/token answered with a redirect, which is not followed.\n"),
        (TOKEN, b" " * (1 << 19), 200, "URL/token answers with more than 256 KiB.\n"),
        (TOKEN, b'{"error": "invalid_target"}', 400, "REFUSED  error: invalid_target\n"),
        (
            TOKEN,
            b'{"error": "invalid_client"}',
            400,
            (
                "REFUSED  error: invalid_client\n"
                "Check --client-id, and that the secret is this client's.\n"
            ),
        ),
        (METADATA, b"", 302, "URL/METADATA answered with a redirect, which is not followed.\n"),
        (METADATA, b"", 404, "URL/METADATA is no metadata: it answered 404, and no JSON object.\n"),
        (
            METADATA,
            b'{"issuer": "https://evil.example"}',
            200,
            (
                "URL/METADATA is not the metadata of URL: it names another issuer "
                "(often a slash at the end is too much, or missing).\n"
            ),
        ),
        (
            METADATA,
            b'{"issuer": "URL"}',
            200,
            "the metadata of URL names no token_endpoint.\n",
        ),
        (
            METADATA,
            b'{"issuer": "URL", "token_endpoint": "http://sts.example/token"}',
            200,
            (
                "the token_endpoint of URL is not used: http://sts.example/token is neither "
                "https nor on this machine: secrets would travel in clear.\n"
            ),
        ),
        (
            METADATA,
            b'{"issuer": "URL", "token_endpoint": "https://sts.example/\\u001b[2J\\u202e"}',
            200,
            (
                "the token_endpoint of URL is not used: https://sts.example/\\x1b[2J\\u202e is no "
                "URL.\n"
            ),
        ),
    ],
    ids=[
        "no JSON",
        "no token",
        "redirect",
        "huge",
        "refusal",
        "not who it says",
        "metadata elsewhere",
        "no metadata",
        "another's metadata",
        "no endpoint",
        "endpoint in clear",
        "endpoint that is none",
    ],
)
def test_a_server_that_is_broken(
    server: Server, path: str, body: bytes, status: int, said: str
) -> None:
    """Exactly this is said, and the secret is with nobody but the token endpoint."""
    location = f"{server.url}/elsewhere"
    server.says(path, body.replace(b"URL", server.url.encode()), status, Location=location)

    ran = _exchange(server)

    assert (ran.status, ran.out) == (1, "")
    shown = ran.err.replace(server.url, "URL").replace(METADATA, "/METADATA")
    assert shown == said.replace("REFUSED", "Refused, with status 400:\n")
    assert {asked.path for asked in server.asked if "Authorization" in asked.headers} <= {TOKEN}
    assert "/elsewhere" not in {asked.path for asked in server.asked}


def test_a_server_that_drips(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for an answer is bounded, however it comes."""
    monkeypatch.setattr(wire, "DEADLINE", -1)

    assert _exchange(server).err.endswith("takes too long to answer.\n")


def test_nobody_listens() -> None:
    """It says whom it tried."""
    ran = run(
        "exchange",
        *("--token-endpoint", "http://127.0.0.1:9/token", "--subject-token", "t"),
        *("--client-id", "me"),
        environment={"DELEGATION_CLIENT_SECRET": SECRET},
    )

    assert ran.status == 1
    assert ran.err == (
        "http://127.0.0.1:9/token cannot be reached: [Errno 111] Connection refused.\n"
    )


def test_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes to this machine in clear does not leave it by a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert _exchange(server).status == 0


def test_what_is_typed_counts(server: Server) -> None:
    """An issuer on the command line is not overruled by an endpoint in the environment."""
    ran = _exchange(
        server,
        *("--issuer", server.url, "--raw"),
        TOKEN_ENDPOINT="https://sts.example/token",
        ISSUER="https://sts.example",
    )

    assert ran.out == "opaque\n"


def test_two_servers(server: Server) -> None:
    """One of the two has to be meant."""
    ran = _exchange(server, "--issuer", server.url, "--token-endpoint", server.endpoint)

    assert ran.status == 2
    assert "Give --issuer or --token-endpoint, not both." in ran.err


@pytest.mark.parametrize("endpoint", ["http://sts.example/token", "token", "https://[/"])
def test_an_endpoint_in_clear(server: Server, endpoint: str) -> None:
    """One that is given is no better than one that is found."""
    for arguments in ((), ("--curl",)):
        ran = _exchange(server, "--token-endpoint", endpoint, *arguments)

        assert (ran.status, ran.out) == (1, "")
        assert ran.err.startswith(endpoint)


@pytest.mark.parametrize("given", ["", " \n", b"\xff\xfe"], ids=["nothing", "space", "no text"])
def test_no_token_on_standard_input(server: Server, given: str | bytes) -> None:
    """It is not taken for an empty one."""
    ran = _exchange(server, "--subject-token", "-", given=given)

    assert ran.status == 2
    assert ran.err.endswith("Error: There is no token on standard input.\n")
    assert TOKEN not in {asked.path for asked in server.asked}


def test_a_secret_in_a_file(server: Server, tmp_path: Path) -> None:
    """It counts more than the environment; a file that holds none is no secret."""
    file = tmp_path / "secret"
    file.write_text("another\n")

    assert _exchange(server, "--client-secret-file", str(file)).status == 0
    sent = server.asked[-1].headers["Authorization"]
    file.write_bytes(b"\xff")
    broken = _exchange(server, "--client-secret-file", str(file))

    assert base64.b64decode(sent.removeprefix("Basic ")) == b"calendar-mcp:another"
    assert broken.status == 2
    assert "Set DELEGATION_CLIENT_SECRET, or name a file that holds it." in broken.err


def test_the_equivalent_command(server: Server) -> None:
    """It shows no secret, reads no token, and is quoted for a shell."""
    arguments = ("--scope", "a b'c", "--actor-token", "t", "--actor-token-type", "urn:x")

    ran = _exchange(
        server, "--curl", *arguments, "--subject-token", "-", CLIENT_ID="odd id:%", given=""
    )

    assert (ran.status, ran.err) == (0, "")
    assert SECRET not in ran.out
    assert server.asked[-1].path == METADATA
    assert (
        ran.out.replace(server.url, "URL")
        == """\
curl URL/token \\
  --user odd+id%3A%25:"$DELEGATION_CLIENT_SECRET" \\
  --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\
  --data-urlencode "subject_token=$SUBJECT_TOKEN" \\
  --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:access_token \\
  --data-urlencode resource=https://calendar.example/api \\
  --data-urlencode 'scope=a b'"'"'c' \\
  --data-urlencode "actor_token=$ACTOR_TOKEN" \\
  --data-urlencode actor_token_type=urn:x
"""
    )
