"""Probes: a sound service passes them all, and each finds a fault of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from delegation.client.credentials import PrivateKey
from delegation.client.service import Service
from delegation.client.wire import a_client
from delegation.jose.keyring import Status, new_key
from delegation.probe import target as sources
from delegation.probe import textfile
from delegation.probe.catalogue import PROBES, outcomes, tried
from delegation.probe.findings import NotTried, Outcome, Verdict
from delegation.probe.forging import altered, claims_in, unsigned
from delegation.probe.target import NoToken, OfCommand, OfFile, Target
from tests.probed import API, ENDLESS, FORBIDDEN, LOGIN, NEXT, StandIn, a_stand_in
from tests.secrecy import shows_any

Change = Callable[[StandIn], object]


@pytest.fixture(name="process", scope="module")
def _process() -> Iterator[StandIn]:
    with a_stand_in() as stand_in:
        yield stand_in


@pytest.fixture(name="stand_in")
def _stand_in(process: StandIn) -> StandIn:
    """A sound one."""
    process.mend()
    return process


def a_service(stand_in: StandIn, client: str) -> Service:
    """The stand-in as *client* knows it."""
    return Service(issuer=stand_in.url, client_id=client, client_secret=client)


def a_target(stand_in: StandIn, **changes: Any) -> Target:
    """The stand-in, with all that it takes to try everything."""
    usual: dict[str, Any] = {
        "service": a_service(stand_in, "mcp"),
        "subject_token": stand_in.subject_token,
        "resource": API,
        "scope": "read",
        "other": a_service(stand_in, "other"),
        "api": a_service(stand_in, "api"),
        "next_resource": NEXT,
        "forbidden_resource": FORBIDDEN,
        "forbidden_scope": "write",
        "expired_token": lambda: stand_in.subject_token(exp=1),
        "alarms": True,
    }
    return Target(**(usual | changes))


def found(target: Target) -> dict[str, Outcome]:
    """How each probe ended, but for those that end well."""
    with a_client(verify=False) as http:  # which makes it in no time
        ended = {one.probe: one for one in outcomes(target, http)}
    assert list(ended) == [probe.name for probe in PROBES]
    return {name: one for name, one in ended.items() if one.verdict is not Verdict.OK}


def found_by(probe: str, target: Target) -> Outcome:
    """How *probe* ended; what would come after it is not tried."""
    with a_client(verify=False) as http:
        return next(one for one in outcomes(target, http) if one.probe == probe)


def of(stand_in: StandIn, *faults: str) -> None:
    """Give it these faults."""
    stand_in.faults.update(faults)


def test_a_sound_service(stand_in: StandIn) -> None:
    """Nothing is found, everything is tried that can be, and all that was issued has ended."""
    (skipped,) = found(a_target(stand_in)).values()

    assert (skipped.probe, skipped.verdict) == ("plain_http", Verdict.SKIPPED)
    assert skipped.detail == "the service is on this machine, without https"
    assert stand_in.alive == {}


def test_little_is_known(stand_in: StandIn) -> None:
    """What cannot be tried says what it takes, and nothing rings an alarm unasked."""
    little: dict[str, Any] = dict.fromkeys(
        ("other", "api", "next_resource", "forbidden_resource", "forbidden_scope", "expired_token")
    )

    skipped = found(a_target(stand_in, **little, alarms=False))

    assert {one.verdict for one in skipped.values()} == {Verdict.SKIPPED}
    assert {name: one.detail for name, one in skipped.items()} == {
        "onward": "it takes the API as a client: DELEGATION_API_CLIENT_ID, ..._SECRET",
        "introspection": "it takes the API as a client: DELEGATION_API_CLIENT_ID, ..._SECRET",
        "forbidden_resource": "it takes an API that is not granted: --forbidden-resource",
        "forbidden_scope": "it takes a scope that is not granted: --forbidden-scope",
        "expired_token": "it takes a token that has expired: --expired-token-file",
        "plain_http": "the service is on this machine, without https",
        "child_of_revoked": "nothing was issued for the token",
    } | dict.fromkeys(
        ("another_client", "issued_token", "revocation_by_another", "revoked_parent"),
        "it raises an alarm: --with-alarms",
    )


def test_alarms_without_parties(stand_in: StandIn) -> None:
    """What takes another client, or one more API, is not tried without."""
    skipped = found(a_target(stand_in, other=None, next_resource=None))

    assert skipped["another_client"].detail.startswith("it takes another client")
    assert skipped["revocation_by_another"].detail.startswith("it takes another client")
    assert skipped["revoked_parent"].detail.startswith("it takes an API behind the API")


def _says(path: str, **members: Any) -> Change:
    return lambda stand_in: stand_in.instead.update({path: members})


def _issues(**claims: Any) -> Change:
    return lambda stand_in: stand_in.claims.update(claims)


def _is(*faults: str) -> Change:
    return lambda stand_in: of(stand_in, *faults)


def _sends(**headers: str) -> Change:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda stand_in: stand_in.headers.update(named)


METADATA = "/.well-known/oauth-authorization-server"
A_PRIVATE_KEY = {"kty": "EC", "kid": "x", "d": "x"}

FAULTS: tuple[tuple[str, Verdict, Change, str], ...] = (
    ("metadata", Verdict.WRONG, _says(METADATA, issuer=LOGIN), "names another issuer"),
    ("metadata", Verdict.WRONG, _says(METADATA, jwks_uri=None), "no jwks_uri"),
    (
        "metadata",
        Verdict.WRONG,
        _says(METADATA, revocation_endpoint="http://sts.example/revoke"),
        "no revocation_endpoint",
    ),
    ("metadata", Verdict.WRONG, _says(METADATA, grant_types_supported=None), "exchanged"),
    ("metadata", Verdict.WRONG, lambda it: it.down.update({METADATA: 404}), "answered 404"),
    ("keys", Verdict.CRITICAL, _says("/jwks", keys=[A_PRIVATE_KEY]), "private key"),
    ("keys", Verdict.WRONG, _says("/jwks", keys=[]), "holds no key"),
    ("keys", Verdict.WRONG, _says("/jwks", keys=[{"kid": "x"}, {"kid": "x"}]), "tells apart"),
    ("keys", Verdict.WRONG, _says("/jwks", keys=None), "answered 200"),
    ("exchange", Verdict.CRITICAL, _is("passes through"), "given back"),
    ("exchange", Verdict.CRITICAL, _says("/token", refresh_token="x"), "refresh token"),
    ("exchange", Verdict.WRONG, _says("/token", issued_token_type=None), "access token"),
    ("exchange", Verdict.WRONG, _says("/token", token_type="N_A"), "token_type"),
    ("exchange", Verdict.WRONG, _says("/token", access_token=None), "answered 200"),
    ("exchange", Verdict.WRONG, _says("/token", access_token="opaque"), "no JWT"),
    ("exchange", Verdict.WRONG, _sends(Cache_Control="public"), "no-store"),
    ("exchange", Verdict.WRONG, lambda it: it.down.update({"/token": 500}), "answered 500"),
    ("token", Verdict.WRONG, _is("signs wrongly"), "no key of this name"),
    ("token", Verdict.WRONG, _issues(jti="\0"), "would not take it"),
    ("audience", Verdict.CRITICAL, _issues(aud=FORBIDDEN), "another API"),
    ("audience", Verdict.CRITICAL, _issues(aud=[API, FORBIDDEN]), "several"),
    ("subject", Verdict.CRITICAL, _issues(sub_id={"iss": LOGIN, "sub": "eve"}), "somebody else"),
    ("subject", Verdict.CRITICAL, _issues(sub_id="probe"), "somebody else"),
    ("subject", Verdict.CRITICAL, _issues(sub_id=None, sub="eve"), "somebody else"),
    ("actors", Verdict.CRITICAL, _issues(act=None), "impersonation"),
    ("actors", Verdict.CRITICAL, _issues(act={"iss": LOGIN, "sub": "mcp"}), "another than"),
    ("actors", Verdict.CRITICAL, _issues(client_id="agent"), "another than"),
    (
        "actors",
        Verdict.CRITICAL,
        lambda it: it.claims.update(act={"iss": it.url, "sub": "mcp"}),
        "who acted before",
    ),
    ("scope", Verdict.CRITICAL, _issues(scope="read write"), "more than was asked for"),
    ("scope", Verdict.WRONG, _issues(scope=""), "less than was asked for"),
    ("scope", Verdict.WRONG, _says("/token", scope="write"), "another scope"),
    ("lifetime", Verdict.CRITICAL, _issues(exp=ENDLESS), "outlives"),
    ("lifetime", Verdict.CRITICAL, _issues(iat=1), "longer than 900 s"),
    ("lifetime", Verdict.WRONG, _issues(exp=None), "says no exp"),
    ("lifetime", Verdict.WRONG, _says("/token", expires_in=None), "how long"),
    ("lifetime", Verdict.WRONG, _says("/token", expires_in=3600), "how long"),
    ("onward", Verdict.CRITICAL, _issues(act={"iss": LOGIN, "sub": "api"}), "another than"),
    ("onward", Verdict.WRONG, _is("grants nothing onward"), "400 invalid_target"),
    ("no_authentication", Verdict.CRITICAL, _is("asks nobody"), "200 with a token"),
    ("no_authentication", Verdict.WRONG, _is("no challenge"), "lacks WWW-Authenticate"),
    ("wrong_secret", Verdict.CRITICAL, _is("takes any secret"), "200 with a token"),
    ("wrong_secret", Verdict.WRONG, _sends(Cache_Control="public"), "no-store"),
    ("unknown_resource", Verdict.CRITICAL, _is("grants any API"), "200 with a token"),
    ("unknown_resource", Verdict.WRONG, _is("not grants any API"), "400 access_denied"),
    ("forbidden_resource", Verdict.CRITICAL, _is("grants every API"), "200 with a token"),
    ("unknown_scope", Verdict.CRITICAL, _is("grants any scope"), "200 with a token"),
    ("forbidden_scope", Verdict.CRITICAL, _is("grants every scope"), "200 with a token"),
    ("altered_token", Verdict.CRITICAL, _is("checks no signature"), "200 with a token"),
    ("unsigned_token", Verdict.CRITICAL, _is("takes none"), "200 with a token"),
    ("expired_token", Verdict.CRITICAL, _is("takes what has expired"), "200 with a token"),
    ("refresh_token", Verdict.CRITICAL, _is("takes any kind"), "200 with a token"),
    ("client_credentials", Verdict.CRITICAL, _is("grants to clients"), "200 with a token"),
    ("repeated_parameter", Verdict.CRITICAL, _is("takes the last"), "200 with a token"),
    ("query", Verdict.CRITICAL, _is("ignores the query"), "200 with a token"),
    ("no_form", Verdict.CRITICAL, _is("takes any type"), "200 with a token"),
    ("get", Verdict.CRITICAL, _is("takes GET"), "200 with a token"),
    ("get", Verdict.WRONG, _is("not takes GET"), "405 access_denied, and not 405 invalid_request"),
    ("another_client", Verdict.CRITICAL, _is("takes stolen"), "200 with a token"),
    ("issued_token", Verdict.CRITICAL, _is("takes its own"), "200 with a token"),
    ("introspection", Verdict.WRONG, _says("/introspect", active=False), "not active"),
    ("introspection", Verdict.WRONG, _says("/introspect", scope="write"), "the token: scope"),
    ("introspection", Verdict.WRONG, _says("/introspect", active="yes"), "does not say"),
    ("introspection", Verdict.WRONG, lambda it: it.down.update({"/introspect": 400}), "400"),
    ("introspection_by_another", Verdict.CRITICAL, _is("tells everybody"), "is told"),
    ("introspection_by_another", Verdict.CRITICAL, _says("/introspect", jti="x"), "is told"),
    ("revocation_by_another", Verdict.CRITICAL, _is("anybody revokes"), "another client"),
    ("revocation", Verdict.CRITICAL, _is("forgets ends"), "a revoked token is active"),
    ("revocation", Verdict.WRONG, lambda it: it.down.update({"/revoke": 400}), "answered 400"),
    ("child_of_revoked", Verdict.CRITICAL, _is("forgets children"), "grew from"),
    ("revoked_parent", Verdict.CRITICAL, _is("forgets ends of parents"), "200 with a token"),
    ("clean_up", Verdict.WRONG, lambda it: it.down.update({"/revoke": 400}), "answered 400"),
)
"""What is found, how bad it is, what the service does wrong, and what is said of it."""


@pytest.mark.parametrize(
    ("probe", "verdict", "fault", "said"),
    FAULTS,
    ids=[f"{probe}-{number}" for number, (probe, *_) in enumerate(FAULTS)],
)
def test_a_fault(stand_in: StandIn, probe: str, verdict: Verdict, fault: Change, said: str) -> None:
    """A service that is wrong in one way is found out by the probe for that."""
    fault(stand_in)

    outcome = found_by(probe, a_target(stand_in))

    assert outcome.verdict is verdict
    assert said in outcome.detail


def test_no_probe_without_a_fault() -> None:
    """A probe that cannot fail holds nobody to anything; `plain_http` has a test of its own."""
    assert {probe for probe, *_ in FAULTS} | {"plain_http"} == {probe.name for probe in PROBES}


def test_an_echo(stand_in: StandIn) -> None:
    """What was sent does not come back in a refusal."""
    stand_in.faults.add("repeats")

    wrong = found_by("unknown_resource", a_target(stand_in))

    assert (wrong.verdict, wrong.detail) == (Verdict.WRONG, "the answer repeats what was sent")


@pytest.mark.parametrize("fault", ["grants any API", "takes stolen", "grants to clients"])
def test_nothing_is_left_behind(stand_in: StandIn, fault: str) -> None:
    """What was issued although it must not is revoked as well, each by its own client."""
    of(stand_in, fault)

    assert found(a_target(stand_in)).keys() >= {"plain_http"}
    assert stand_in.alive == {}


def test_where_to_ask(stand_in: StandIn) -> None:
    """The decision is named, so that `delegation explain` can tell more."""
    stand_in.headers["Delegation-Decision"] = "7-x"
    of(stand_in, "grants any API")

    ended = found(a_target(stand_in, scope="write"))

    assert ended["exchange"].detail == "it was answered 400 invalid_scope (decision 7-x)"
    assert ended["unknown_resource"].verdict is Verdict.WRONG


def test_the_subject_token_is_left_alone(stand_in: StandIn) -> None:
    """Also where it comes back as if it had been issued: it is not ours to revoke."""
    of(stand_in, "passes through")
    token = stand_in.subject_token()

    found(a_target(stand_in, subject_token=lambda: token))

    revoked = [asked.form["token"] for asked in stand_in.asked if asked.path == "/revoke"]
    assert token not in revoked


def test_a_token_is_nowhere(stand_in: StandIn) -> None:
    """No outcome holds a token or a secret, whatever was found."""
    of(stand_in, "takes none", "passes through", "takes stolen", "repeats")
    token = stand_in.subject_token()

    ended = found(a_target(stand_in, subject_token=lambda: token))

    assert not shows_any(repr(ended))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_no_answer(stand_in: StandIn, status: int) -> None:
    """Who asks for patience is not found guilty of anything."""
    for path in ("/jwks", "/token", "/introspect", "/revoke"):
        stand_in.down[path] = status

    ended = found(a_target(stand_in))

    assert {one.verdict for one in ended.values()} == {Verdict.UNAVAILABLE, Verdict.SKIPPED}
    assert ended["exchange"].detail == f"the service answered {status}"


def test_out_of_reach() -> None:
    """One probe waits for the service, and not all of them."""
    nowhere = Service(issuer="http://127.0.0.1:9", client_id="mcp", client_secret="mcp")
    target = Target(service=nowhere, subject_token=lambda: "t", resource=API, scope="read")

    first, *others = tried(target)

    assert first.verdict is Verdict.UNAVAILABLE
    assert "cannot be reached" in first.detail
    assert {(one.verdict, one.detail) for one in others} == {
        (Verdict.SKIPPED, "there is no metadata")
    }


def test_keys_out_of_reach(stand_in: StandIn) -> None:
    """Whether the token verifies, nobody can tell."""
    stand_in.down["/jwks"] = 503

    ended = found(a_target(stand_in))

    assert {name: one.verdict for name, one in ended.items()} == {
        "keys": Verdict.UNAVAILABLE,
        "token": Verdict.UNAVAILABLE,
        "onward": Verdict.UNAVAILABLE,
        "plain_http": Verdict.SKIPPED,
        "child_of_revoked": Verdict.SKIPPED,
    }


def test_no_subject_token(stand_in: StandIn) -> None:
    """That is no fault of the service; what takes no token is tried."""

    def none() -> str:
        raise NoToken("the command ended with status 1")

    ended = found(a_target(stand_in, subject_token=none))

    assert "metadata" not in ended
    assert ended["exchange"].verdict is Verdict.UNAVAILABLE
    assert ended["exchange"].detail == (
        "there is no subject token: the command ended with status 1"
    )
    assert ended["altered_token"].detail == "there is no subject token"


def test_no_expired_token(stand_in: StandIn) -> None:
    """A file that is gone is said, and is no fault of the service."""

    def none() -> str:
        raise NoToken("the file cannot be read")

    outcome = found_by("expired_token", a_target(stand_in, expired_token=none))

    assert outcome.verdict is Verdict.UNAVAILABLE


def test_an_api_that_is_told_little(stand_in: StandIn) -> None:
    """The end of the child can be seen only by who was told that it was alive."""
    stand_in.instead["/introspect"] = {"active": False}

    assert "auditor: true" in found(a_target(stand_in))["child_of_revoked"].detail


def test_a_client_with_a_key(stand_in: StandIn) -> None:
    """It shows a new assertion each time; a wrong secret is wrong for it, too."""
    key = PrivateKey.parse(json.dumps(new_key(status=Status.ACTIVE).kept()).encode())
    service = Service(issuer=stand_in.url, client_id="mcp", client_key=key)

    assert found(a_target(stand_in, service=service)).keys() == {"plain_http"}
    shown = [asked.form.get("client_assertion") for asked in stand_in.asked]
    told = [one for one in shown if one is not None]
    assert len(set(told)) == len(told) > 10


def test_a_token_endpoint_that_is_given(stand_in: StandIn) -> None:
    """It counts more than what the metadata says."""
    stand_in.instead[METADATA] = {"token_endpoint": f"{stand_in.url}/elsewhere"}
    service = replace(a_service(stand_in, "mcp"), token_endpoint=f"{stand_in.url}/token")

    assert found(a_target(stand_in, service=service)).keys() == {"plain_http"}


def test_an_endpoint_that_is_not_named(stand_in: StandIn) -> None:
    """Where it is, nobody guesses."""
    stand_in.instead[METADATA] = {"jwks_uri": None}

    assert found_by("keys", a_target(stand_in)).detail == "it is not known where the jwks_uri is"


def test_a_refusal_without_words(stand_in: StandIn) -> None:
    """A server before the service, such as a proxy, answers in its own way."""
    stand_in.down["/token"] = 401

    wrong = found_by("no_authentication", a_target(stand_in))

    assert wrong.detail == "it was answered 401 and no JSON object, and not 401 invalid_client"


# Plain http


def _through(stand_in: StandIn) -> httpx2.Client:
    """A client to whom the stand-in is every host on the web, by http and by https."""
    return httpx2.Client(mounts={"all://": _Everywhere(stand_in)})


class _Everywhere(httpx2.BaseTransport):
    """Sends whatever is for https://sts.example to the stand-in; and http, too, where that serves
    it: real requests, but for the name and the lock.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self._at = httpx2.URL(stand_in.url)
        self._in_clear = "serves http" in stand_in.faults
        self._inner = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "http" and not self._in_clear:
            raise httpx2.ConnectError("connection refused")
        request.url = request.url.copy_with(scheme="http", host=self._at.host, port=self._at.port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(None, Verdict.OK), (404, Verdict.OK), (200, Verdict.CRITICAL), (401, Verdict.CRITICAL)],
)
def test_plain_http(stand_in: StandIn, status: int | None, verdict: Verdict) -> None:
    """The token endpoint must not answer in clear; nothing secret is sent there."""
    stand_in.url, real = "https://sts.example", stand_in.url
    here = replace(stand_in, url=real, faults={"serves http"} if status else set())
    if status in {200, 404}:
        stand_in.down["/token"] = status
    try:
        target = a_target(stand_in)
        with _through(here) as http:
            outcome = next(one for one in outcomes(target, http) if one.probe == "plain_http")
    finally:
        stand_in.url = real

    assert outcome.verdict is verdict
    bare = [asked for asked in stand_in.asked if asked.form.keys() == {"grant_type"}]
    assert len(bare) == (status is not None)
    assert all("Authorization" not in asked.headers for asked in bare)


# Where tokens come from


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(3)", "the command ended with status 3"),
        ("", "the command writes something else than one token"),
        ("print('a b')", "the command writes something else than one token"),
        ("print('\\u00e9')", "the command writes something else than one token"),
    ],
)
def test_a_command_without_a_token(code: str, said: str) -> None:
    """What it did is said, and not what it wrote."""
    with pytest.raises(NoToken) as error:
        OfCommand((sys.executable, "-X", "utf8", "-c", code))()

    assert str(error.value) == said


def test_a_command() -> None:
    """Its output is the token."""
    assert OfCommand((sys.executable, "-c", "print('a.b.c')"))() == "a.b.c"


def test_no_command(tmp_path: Path) -> None:
    """A command that is not there."""
    with pytest.raises(NoToken, match=r"^the command cannot be run: No such file"):
        OfCommand((str(tmp_path / "none"),))()


def test_a_slow_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for longer than a moment; what it wrote is not said."""
    monkeypatch.setattr(sources, "PATIENCE", 0.05)

    with pytest.raises(NoToken) as error:
        OfCommand((sys.executable, "-c", "import time; time.sleep(60)"))()

    assert not isinstance(error.value.__cause__, subprocess.TimeoutExpired)


def test_a_file(tmp_path: Path) -> None:
    """It is read anew each time."""
    file = tmp_path / "token"
    source = OfFile(file)
    with pytest.raises(NoToken, match=r"^the file cannot be read: No such file"):
        source()

    file.write_text("a.b.c\n")
    assert source() == "a.b.c"
    file.write_bytes(b"\xff")
    with pytest.raises(NoToken, match=r"^the file holds something else than one token$"):
        source()


# Forging


def test_forged_tokens(stand_in: StandIn) -> None:
    """They say the same, in proper form."""
    token = stand_in.subject_token()
    claims = claims_in(token)

    assert claims["sub"] == "probe"
    assert claims_in(altered(token)) == claims_in(unsigned(token)) == claims
    assert altered(altered(token)) == token != altered(token)
    assert unsigned(token).endswith(".")


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "e30.W10.x", "a.b.c.d", "é.é.é"])
def test_no_jwt(token: str) -> None:
    """Of what is no JWT, nothing is made."""
    with pytest.raises(NotTried):
        claims_in(token)


def test_no_header() -> None:
    """Where the header is no JSON, there is no algorithm to replace."""
    with pytest.raises(NotTried):
        unsigned("a.e30.x")


@pytest.mark.parametrize("token", ["opaque", "e30.e30."])
def test_no_signature(token: str) -> None:
    """Where there is none, none is altered."""
    with pytest.raises(NotTried):
        altered(token)


# Metrics


def _outcomes(**verdicts: Verdict) -> list[Outcome]:
    return [
        Outcome(probe=name, promise="", verdict=verdict, seconds=0.25)
        for name, verdict in verdicts.items()
    ]


def test_metrics(tmp_path: Path) -> None:
    """What was not tried has no value; who reads it may be anybody."""
    file = tmp_path / "probe.prom"
    outcomes = _outcomes(a=Verdict.OK, b=Verdict.CRITICAL, c=Verdict.SKIPPED)

    textfile.write(file, outcomes, now=1795208567.5)

    lines = file.read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'delegation_probe_ok{probe="a"} 1',
        'delegation_probe_ok{probe="b"} 0',
        'delegation_probe_outcomes{verdict="ok"} 1',
        'delegation_probe_outcomes{verdict="critical"} 1',
        'delegation_probe_outcomes{verdict="wrong"} 0',
        'delegation_probe_outcomes{verdict="unavailable"} 0',
        'delegation_probe_outcomes{verdict="skipped"} 1',
        "delegation_probe_round_seconds 0.750",
        "delegation_probe_last_round_timestamp_seconds 1795208567.500",
    ]
    assert list(tmp_path.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o644


def test_metrics_that_cannot_be_written(tmp_path: Path) -> None:
    """What stood there is left as it is, and nothing lies about."""
    (tmp_path / "probe.prom").mkdir()

    with pytest.raises(OSError, match="directory"):
        textfile.write(tmp_path / "probe.prom", _outcomes(a=Verdict.OK), now=time.time())

    assert len(list(tmp_path.iterdir())) == 1
