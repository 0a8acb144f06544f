"""One exchange over HTTP: what is answered, what is checked first, and what is recorded."""

import io
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from delegation.domain.errors import Cause, Refused, Unavailable
from tests.parties import CALENDAR_API, CALENDAR_MCP, a_verified_token
from tests.web.endpoint import (
    ACCESS_TOKEN,
    ALICES_TOKEN,
    FORM,
    IDLE,
    JWT,
    MALFORMED,
    NEXT_SECRET,
    Endpoint,
    basic,
    body_of,
    form,
    issued,
    post,
    refused,
)


@pytest.mark.standard(
    "8693-2.2.1-1",
    "8693-2.2.1-2",
    "8693-2.2.1-3",
    "8693-2.2.1-4",
    "8693-2.2.1-5",
    "8693-2.2.1-6",
    "8693-2.2.1-7",
    "6749-3.3-2",
)
def test_success(sts: Endpoint) -> None:
    """An answer has the members of RFC 8693 §2.2.1, no refresh token, and its decision's id."""
    response = sts.ask()

    assert issued(response) == {
        "access_token": "issued-as-exchange-1",
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "events.read",
    }
    assert response.headers["Delegation-Decision"] == "exchange-1"


@pytest.mark.standard("8693-2.1-6", "8693-2.2.1-2")
@pytest.mark.parametrize("requested", [ACCESS_TOKEN, JWT])
def test_issued_token_type(sts: Endpoint, requested: str) -> None:
    """Our access tokens are JWTs: they are called what was asked for."""
    response = sts.ask(form(requested_token_type=requested), authorization=basic())

    assert issued(response)["issued_token_type"] == requested


@pytest.mark.standard("6749-3.3-2", "8693-2.2.1-5")
def test_scope_by_default(sts: Endpoint) -> None:
    """Where no scope was asked for, the answer says which was given."""
    response = sts.ask(form(scope=None), authorization=basic())

    assert issued(response)["scope"] == "events.read events.write"


@pytest.mark.standard("6749-2.3-3")
def test_secret_in_the_form(sts: Endpoint) -> None:
    """`client_secret_post` works as well."""
    response = sts.ask(post())

    assert issued(response)["access_token"]
    assert sts.ledger.recorded[0][1].authenticated_by == "client_secret_post"


@pytest.mark.standard("6749-3.2-1", "8693-2.1-1")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
def test_other_methods(sts: Endpoint, method: str) -> None:
    """Nothing but POST, and no CORS."""
    response = sts.ask(method=method)

    assert refused(response) == (405, "invalid_request", "malformed_request")
    assert response.headers["Allow"] == "POST"
    assert not sts.outcomes


@pytest.mark.standard("6749-3.2-1")
def test_head(sts: Endpoint) -> None:
    """HEAD is refused as well, without a body as HTTP wants it."""
    response = sts.ask(method="HEAD")

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.standard("8693-2.1-1", "STK-12")
@pytest.mark.attack(21)
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        f"{FORM}; charset=iso-8859-1",
        f"{FORM}; charset=utf-16",
        f"{FORM}; boundary=x",
        f"{FORM}, application/json",
        f"{FORM};",
        f"{FORM}\n",
    ],
)
def test_other_content_types(sts: Endpoint, content_type: str | None) -> None:
    """Forms only; a body of another kind is not looked into."""
    response = sts.ask(CONTENT_TYPE=content_type)

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.parametrize(
    "content_type",
    [f"{FORM};charset=UTF-8", f'{FORM} ; Charset="utf-8"', FORM.title()],
)
def test_content_type_says_utf8(sts: Endpoint, content_type: str) -> None:
    """The charset that forms have anyway may be named."""
    assert issued(sts.ask(CONTENT_TYPE=content_type))


@pytest.mark.attack(21)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity, gzip", ""])
def test_encoded_bodies(sts: Endpoint, encoding: str) -> None:
    """Nothing is unpacked here."""
    response = sts.ask(HTTP_CONTENT_ENCODING=encoding)

    assert refused(response) == MALFORMED


def test_identity_is_no_encoding(sts: Endpoint) -> None:
    """A body that says it is not encoded is taken by its word."""
    assert issued(sts.ask(HTTP_CONTENT_ENCODING="Identity"))


CHUNKED: dict[str, Any] = {
    "CONTENT_LENGTH": None,
    "HTTP_TRANSFER_ENCODING": "chunked",
    "wsgi.input_terminated": True,
}


def padded(size: int) -> bytes:
    """A proper form of *size* bytes, thanks to a parameter nobody knows."""
    start = form() + b"&padding="
    return start + b"x" * (size - len(start))


@pytest.mark.standard("8693-2.1-3", "STK-12")
@pytest.mark.attack(21)
@pytest.mark.parametrize("environ", [{}, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "body",
    [
        form(subject_token="x" * 70 * 1024),
        padded(64 * 1024 + 1),
        padded(64 * 1024 + 2),
        padded(5 * 1024 * 1024),
        form() + b"&x=1" * 20_000,
    ],
    ids=["70 KiB token", "a byte too many", "two bytes too many", "5 MB", "20 000 fields"],
)
def test_oversize(sts: Endpoint, body: bytes, environ: dict[str, Any]) -> None:
    """What is too large is refused as a whole; no part of it is dropped to carry on with the
    rest.
    """
    response = sts.ask(body, authorization=basic(), **environ)

    assert refused(response) == (413, "invalid_request", "malformed_request")
    assert not sts.outcomes


@pytest.mark.parametrize("length", ["abc", "-1", "+5", "5 ", "\u0665", "0x10"])
def test_a_length_that_is_none(sts: Endpoint, length: str) -> None:
    """How much to read is for nobody to guess."""
    response = sts.ask(form(), authorization=basic(), CONTENT_LENGTH=length)

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.parametrize("environ", [{}, CHUNKED], ids=["length", "chunked"])
def test_largest_size(sts: Endpoint, environ: dict[str, Any]) -> None:
    """64 KiB exactly are accepted."""
    assert issued(sts.ask(padded(64 * 1024), authorization=basic(), **environ))


@pytest.mark.parametrize("environ", [{}, {"wsgi.input_terminated": True}], ids=["dev", "gunicorn"])
def test_body_that_breaks_off(sts: Endpoint, environ: dict[str, Any]) -> None:
    """Less than was announced may mean something else than was meant."""
    response = sts.ask(
        form(), authorization=basic(), CONTENT_LENGTH=str(len(form()) + 1), **environ
    )

    assert refused(response) == MALFORMED
    assert not sts.outcomes


class BadChunks(io.RawIOBase):
    """What a server gives where the client's chunks make no sense."""

    def readinto(self, _buffer: object) -> int:
        """Fail, as gunicorn does: with an exception of its own."""
        raise LookupError("Invalid chunk size: b'xyz'")


def test_body_that_cannot_be_read(sts: Endpoint) -> None:
    """What the server cannot make sense of is the client's fault, not ours."""
    response = sts.ask(form(), authorization=basic(), **CHUNKED | {"wsgi.input": BadChunks()})

    assert refused(response) == MALFORMED


@pytest.mark.standard("6749-3.2-3", "8693-2.1-1", "6749-2.3-3", "2.1-1", "STK-2")
@pytest.mark.attack(13)
@pytest.mark.parametrize(
    "query", ["scope=events.write", "client_secret=x", "x", "grant_type", f"q={ALICES_TOKEN}"]
)
def test_query_string(sts: Endpoint, query: str) -> None:
    """A query string is refused, whatever is in it: it is never merged, and it stands in logs."""
    response = sts.ask(QUERY_STRING=query)

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.standard("8693-2.1-16", "6749-3.2-3", "STK-3")
@pytest.mark.attack(13)
@pytest.mark.parametrize(
    "name",
    [
        "grant_type",
        "subject_token",
        "subject_token_type",
        "requested_token_type",
        "scope",
        "client_id",
        "client_secret",
        "unknown",
    ],
)
@pytest.mark.parametrize(
    ("first", "second"), [("1", "2"), ("1", "1"), ("1", ""), ("", "1")], ids=str
)
def test_repeated_parameters(sts: Endpoint, name: str, first: str, second: str) -> None:
    """No parameter comes twice, not even empty, not even if nobody knows it."""
    fields = form(**{name: None}) + f"&{name}={first}&{quote(name)}={second}".encode()

    response = sts.ask(fields, authorization=basic())

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.standard("8693-2.1-16")
@pytest.mark.attack(13)
def test_repeated_under_an_escaped_name(sts: Endpoint) -> None:
    """Names are compared as they are meant, not as they are spelt."""
    response = sts.ask(form() + b"&%73cope=events.write", authorization=basic())

    assert refused(response) == MALFORMED


@pytest.mark.standard("8693-2.1-7", "8693-2.1-8", "8693-2.1-9", "8693-2.1-16", "8707-2-1")
@pytest.mark.attack(13)
def test_targets_may_repeat(sts: Endpoint) -> None:
    """`resource` and `audience` may repeat, as long as all name the same resource."""
    same = form() + f"&resource={quote(CALENDAR_API)}&audience=calendar&resource=".encode()
    other = form() + b"&resource=https://rooms.example.com/api"

    assert issued(sts.ask(same, authorization=basic()))
    assert refused(sts.ask(other, authorization=basic())) == FORBIDDEN_TARGET


@pytest.mark.standard("6749-B-1", "STK-12")
@pytest.mark.attack(21)
@pytest.mark.parametrize(
    "tail",
    [
        b"&x=\xff",
        b"&x=%FF",
        b"&%FF=x",
        b"&x=\xc0\xaf",
        b"&x=%C0%AF",
        b"&x=%ED%A0%80",
        b"&x=\xed\xa0\x80",
        b"&x=\xc3&y=\xa9",
        b"&x=\xc3%A9",
    ],
    ids=repr,
)
def test_what_is_not_utf8(sts: Endpoint, tail: bytes) -> None:
    """Bad UTF-8 anywhere refuses the whole request, raw or escaped."""
    response = sts.ask(form() + tail, authorization=basic())

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.standard("6749-B-1")
@pytest.mark.parametrize("char", ["\0", "\r\n", "\x1b", "\x7f", "\x85"], ids=repr)
@pytest.mark.parametrize(
    "name", ["grant_type", "subject_token", "subject_token_type", "client_id", "actor_token"]
)
def test_control_characters(sts: Endpoint, name: str, char: str) -> None:
    """Control characters in a parameter that we know refuse the request, before all else."""
    response = sts.ask(form(**{name: f"a{char}b"}), authorization=basic())

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.attack(21)
def test_too_many_fields(sts: Endpoint) -> None:
    """64 fields are enough for everybody."""
    few, many = (form() + b"".join(b"&x%d=" % i for i in range(n)) for n in (59, 60))

    assert issued(sts.ask(few, authorization=basic()))
    assert refused(sts.ask(many, authorization=basic())) == MALFORMED


@pytest.mark.standard("8693-2.1-2", "8693-2.2.2-3", "8693-2.2.2-4")
@pytest.mark.parametrize(
    ("grant_type", "expected"),
    [
        (None, MALFORMED),
        ("", MALFORMED),
        ("client_credentials", (400, "unsupported_grant_type", None)),
        ("URN:IETF:PARAMS:OAUTH:GRANT-TYPE:TOKEN-EXCHANGE", (400, "unsupported_grant_type", None)),
        ('"é\\', (400, "unsupported_grant_type", None)),
    ],
    ids=str,
)
def test_grant_types(
    sts: Endpoint, grant_type: str | None, expected: tuple[int, str, str | None]
) -> None:
    """One grant type, compared exactly; what was sent is not repeated in the answer."""
    response = sts.ask(form(grant_type=grant_type), authorization=basic())

    assert refused(response) == expected
    assert "TOKEN-EXCHANGE" not in response.text
    assert not sts.outcomes


@pytest.mark.standard("8693-2.1-15", "6749-3.2-4")
@pytest.mark.attack(6)
def test_unknown_parameters(sts: Endpoint) -> None:
    """What we do not know is ignored: the true client acts, for the true subject."""
    forged = form(
        act='{"sub":"mallory"}',
        may_act='{"sub":"mallory"}',
        requested_subject="victim",
        requested_issuer="https://login.example.net",
    )

    assert issued(sts.ask(forged, authorization=basic()))
    delegation, _ = sts.ledger.recorded[0]
    assert next(iter(delegation.actors)).identity.subject == CALENDAR_MCP
    assert delegation.subject.subject == "alice"


@pytest.mark.standard("8693-2.1-17", "6749-3.2-4")
@pytest.mark.parametrize(
    "name",
    [
        "scope",
        "audience",
        "requested_token_type",
        "actor_token",
        "actor_token_type",
        "client_id",
        "client_secret",
        "client_assertion",
    ],
)
def test_empty_is_omitted(sts: Endpoint, name: str) -> None:
    """An optional parameter without a value might as well not be there."""
    assert issued(sts.ask(form(**{name: ""}), authorization=basic()))


@pytest.mark.standard("8693-2.1-3", "8693-2.1-4", "8693-2.1-17")
@pytest.mark.parametrize("name", ["subject_token", "subject_token_type"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_required_parameters(sts: Endpoint, name: str, value: str | None) -> None:
    """The subject token and its type are required; their absence is recorded."""
    response = sts.ask(form(**{name: value}), authorization=basic())

    assert refused(response) == MALFORMED
    assert_recorded(sts, response, Cause.MALFORMED)


@pytest.mark.standard("8693-2.1-4", "8693-2.1-6", "8693-3-2")
@pytest.mark.parametrize("name", ["subject_token_type", "requested_token_type"])
@pytest.mark.parametrize(
    "type_",
    [
        "urn:ietf:params:oauth:token-type:id_token",
        "urn:ietf:params:oauth:token-type:refresh_token",
        "urn:ietf:params:oauth:token-type:saml1",
        "urn:ietf:params:oauth:token-type:saml2",
        "urn:ietf:params:oauth:token-type:id-jag",
        "urn:ietf:params:oauth:token-type:txn_token",
        ACCESS_TOKEN.upper(),
        ACCESS_TOKEN + " ",
        "access_token",
    ],
)
def test_token_types(sts: Endpoint, name: str, type_: str) -> None:
    """Two token types, compared exactly."""
    response = sts.ask(form(**{name: type_}), authorization=basic())

    assert refused(response) == MALFORMED
    assert_recorded(sts, response, Cause.UNSUPPORTED_TOKEN_TYPE)


@pytest.mark.standard("8693-2.1-5")
@pytest.mark.parametrize(
    ("changes", "reason", "cause"),
    [
        ({"actor_token": "x"}, "malformed_request", Cause.MALFORMED),
        ({"actor_token_type": JWT}, "malformed_request", Cause.MALFORMED),
        (
            {"actor_token": "x", "actor_token_type": "urn:x"},
            "malformed_request",
            Cause.UNSUPPORTED_TOKEN_TYPE,
        ),
        (
            {"actor_token": "x", "actor_token_type": JWT},
            "actor_token_rejected",
            Cause.TOKEN_MALFORMED,
        ),
        ({"actor_token": "", "actor_token_type": JWT}, "malformed_request", Cause.MALFORMED),
        ({"actor_token": "x", "actor_token_type": ""}, "malformed_request", Cause.MALFORMED),
    ],
    ids=["no type", "no token", "unsupported type", "well-formed", "empty", "empty type"],
)
def test_actor_tokens(sts: Endpoint, changes: dict[str, str], reason: str, cause: Cause) -> None:
    """Token and type come together, and an actor token is never silently ignored."""
    response = sts.ask(form(**changes), authorization=basic())

    assert refused(response) == (400, "invalid_request", reason)
    assert_recorded(sts, response, cause)


FORBIDDEN_SCOPE = (400, "invalid_scope", "not_permitted")
FORBIDDEN_TARGET = (400, "invalid_target", "not_permitted")


@pytest.mark.standard("6749-3.3-1", "8693-2.1-11", "STK-4")
@pytest.mark.attack(19)
@pytest.mark.parametrize(
    "scope",
    [
        "events.read\u00a0events.write",
        "events.read\u3000events.write",
        "events.read\x1fevents.write",
        "events.read\tevents.write",
        "events.read\nevents.write",
        "events.read\0",
        "events.read  events.write",
        " events.read",
        "events.read ",
        " ",
        '"events.read"',
        "events\\read",
        "events.read \N{SMILING FACE WITH OPEN MOUTH}",
    ],
    ids=ascii,
)
def test_scopes_that_are_none(sts: Endpoint, scope: str) -> None:
    """Scope has the grammar of RFC 6749 §3.3: one space between tokens, and nothing else."""
    response = sts.ask(form(scope=scope), authorization=basic())

    assert refused(response) == FORBIDDEN_SCOPE
    assert_recorded(sts, response, Cause.SCOPE_MALFORMED)


@pytest.mark.standard("6749-3.3-1", "6749-3.3-3")
@pytest.mark.attack(19)
@pytest.mark.parametrize(
    "scope",
    [
        "EVENTS.READ",
        "events.read%20events.write",
        "*",
        "events.*",
        "events",
        "events.read admin",
        " ".join(f"s{i}" for i in range(10_000)),
    ],
    ids=lambda scope: scope[:30],
)
def test_scopes_that_nobody_has(sts: Endpoint, scope: str) -> None:
    """A scope is a name, compared whole."""
    response = sts.ask(form(scope=scope), authorization=basic())

    assert refused(response) == FORBIDDEN_SCOPE
    assert_recorded(sts, response, Cause.SCOPE_EXCEEDED)


@pytest.mark.standard("6749-3.3-1")
def test_scopes_twice(sts: Endpoint) -> None:
    """The same scope twice is that scope."""
    response = sts.ask(form(scope="events.read events.read"), authorization=basic())

    assert issued(response)["scope"] == "events.read"


@pytest.mark.standard("MCP-3")
def test_required_scope(sts: Endpoint) -> None:
    """Where another scope of the subject token would do, the client is told which."""
    sts.tokens[ALICES_TOKEN] = a_verified_token(scope=frozenset({"calendar:read"}))

    response = sts.ask(form(scope="events.read events.write"), authorization=basic())

    assert refused(response) == FORBIDDEN_SCOPE
    assert body_of(response)["required_scope"] == "calendar:write"


@pytest.mark.standard(
    "8693-2.1-7",
    "8693-2.1-8",
    "8693-2.2.2-2",
    "8693-2.2.2-5",
    "8707-2-1",
    "8707-2-2",
    "8707-2-4",
    "8707-2-5",
    "8707-2-6",
)
@pytest.mark.attack(20)
@pytest.mark.parametrize("name", ["resource", "audience"])
@pytest.mark.parametrize(
    "target",
    [
        "https://nobody.example.com/api",
        "https://rooms.example.com/api",
        f"{CALENDAR_API}@evil.example",
        "https://calendar.example.com@evil.example/api",
        "https://calendar.example.com.evil.example/api",
        f"{CALENDAR_API}#fragment",
        "/api",
        "calendar.example.com/api",
        "javascript:alert(1)",
        f"{CALENDAR_API}/",
        "https://calendar.example.com:443/api",
        "https://calendar.example.com/%2e%2e/api",
        "https://CALENDAR.example.com/api",
        "https://calendar%2eexample.com/api",
        "http://calendar.example.com/api",
        "https://calendar.example.com\\api",
        f"{CALENDAR_API}\0",
        f"{CALENDAR_API}\n",
        "https://calendar.example.com/" + "a" * 2048,
        "https://[",
        "https://sts.example.com",
        "https://calendar-mcp.example.com/mcp",
        CALENDAR_MCP,
    ],
    ids=lambda target: ascii(target)[:60],
)
def test_targets(sts: Endpoint, name: str, target: str) -> None:
    """Malformed, unknown and forbidden targets are answered alike, to the letter."""
    request = form(**({"resource": None} | {name: target}))

    response = sts.ask(request, authorization=basic())

    assert refused(response) == FORBIDDEN_TARGET
    assert body_of(response)["error_description"] == ("no token is issued for the requested target")
    assert len(sts.ledger.refused) == 1


@pytest.mark.standard("8693-2.1-9", "8693-2.1-10")
@pytest.mark.parametrize(
    "changes",
    [{"resource": None}, {"resource": ""}, {"audience": "rooms"}],
    ids=["none", "empty", "disagreeing"],
)
def test_target_is_one(sts: Endpoint, changes: dict[str, str | None]) -> None:
    """A request names exactly one resource."""
    response = sts.ask(form(**changes), authorization=basic())

    assert refused(response) == FORBIDDEN_TARGET


@pytest.mark.standard("6749-5.2-2", "8693-2.2.2-3")
@pytest.mark.attack(23)
def test_client_that_may_not_exchange(sts: Endpoint) -> None:
    """A known client that is not enabled is told so, before its parameters are looked at."""
    response = sts.ask(form(subject_token=None), authorization=basic(IDLE))

    assert refused(response) == (400, "unauthorized_client", "not_permitted")
    assert_recorded(sts, response, Cause.CLIENT_NOT_ENABLED)


@pytest.mark.standard("8693-2.2.2-1", "8693-2.2.2-5", "8693-2.2.1-7")
def test_subject_token_that_is_not_accepted(sts: Endpoint) -> None:
    """An unacceptable subject token is an invalid request, with one text for all causes."""
    response = sts.ask(form(subject_token="unheard of"), authorization=basic())

    assert refused(response) == (400, "invalid_request", "subject_token_rejected")
    assert_recorded(sts, response, Cause.SIGNATURE)


@pytest.mark.attack(24)
def test_token_of_another_client(sts: Endpoint) -> None:
    """A stolen token is of no use to another client; and its owner can go on using it."""
    stolen = sts.ask(form(), authorization=basic("calendar-api", NEXT_SECRET))

    assert refused(stolen) == (400, "invalid_request", "subject_token_rejected")
    assert_recorded(sts, stolen, Cause.PRESENTED_BY_ANOTHER_CLIENT)
    assert issued(sts.ask())


@pytest.mark.standard("8693-2.1-14")
def test_order_of_checks(sts: Endpoint) -> None:
    """The first fault in the order of checks decides; mending one shows the next."""
    everything_wrong: dict[str, Any] = {
        "method": "GET",
        "CONTENT_TYPE": "text/plain",
        "HTTP_CONTENT_ENCODING": "gzip",
        "QUERY_STRING": "x",
    }
    faults = [
        (padded(70_000), None, everything_wrong, 405, "invalid_request"),
        (padded(70_000), None, everything_wrong | {"method": "POST"}, 400, "invalid_request"),
        (padded(70_000), None, {"QUERY_STRING": "x"}, 413, "invalid_request"),
        (b"grant_type=x&\xff", None, {"QUERY_STRING": "x"}, 400, "invalid_request"),
        (b"grant_type=x&x=1&x=2", None, {}, 400, "invalid_request"),
        (b"grant_type=x", None, {}, 400, "unsupported_grant_type"),
        (form(subject_token=None), None, {}, 401, "invalid_client"),
        (form(subject_token=None), basic(IDLE), {}, 400, "unauthorized_client"),
        (form(subject_token=None, resource="x"), basic(), {}, 400, "invalid_request"),
        (form(resource="x", scope=" "), basic(), {}, 400, "invalid_target"),
        (form(subject_token="unheard of", scope=" "), basic(), {}, 400, "invalid_scope"),
        (
            form(subject_token="unheard of", resource="https://x.y"),
            basic(),
            {},
            400,
            "invalid_request",
        ),
        (form(resource="https://x.y", scope="x"), basic(), {}, 400, "invalid_target"),
        (form(scope="x"), basic(), {}, 400, "invalid_scope"),
    ]

    answers = [
        refused(sts.ask(body, authorization=authorization, **environ))[:2]
        for body, authorization, environ, _, _ in faults
    ]

    assert answers == [(status, error) for *_, status, error in faults]


@pytest.mark.standard("6749-3.2-2")
@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_HOST": "evil.example"},
        {"HTTP_HOST": "\0<é>/\\@"},
        {"HTTP_HOST": ""},
        {"HTTP_HOST": None},
        {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PROTO": "http"},
        {"HTTP_FORWARDED": "host=evil.example;proto=http"},
        {"HTTP_CONNECTION": "upgrade", "HTTP_UPGRADE": "websocket"},
        {"wsgi.url_scheme": "http"},
        {"SERVER_NAME": "é", "SERVER_PORT": "x"},
    ],
    ids=ascii,
)
def test_address_is_configured(sts: Endpoint, environ: dict[str, str | None]) -> None:
    """Neither the Host header nor what a proxy adds has any say in who we are."""
    assert issued(sts.ask(**environ))


@pytest.mark.parametrize(
    ("traceparent", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", False),
        ("<script>", False),
        (None, False),
    ],
    ids=ascii,
)
def test_origin(sts: Endpoint, traceparent: str | None, kept: bool) -> None:  # noqa: FBT001
    """The case knows the peer's address, and the trace if it is one."""
    sts.ask(HTTP_TRACEPARENT=traceparent)

    origin = sts.ledger.recorded[0][1].origin
    assert origin.address == "192.0.2.1"
    assert origin.traceparent == (traceparent if kept else None)


def test_origin_without_address(sts: Endpoint) -> None:
    """A peer on a Unix socket has no address."""
    sts.ask(REMOTE_ADDR=None)

    assert sts.ledger.recorded[0][1].origin.address == ""


def test_one_snapshot(sts: Endpoint) -> None:
    """A request is decided by one snapshot of the registry, from authentication to the end."""
    sts.ask()

    assert sts.registry.calls == 1
    assert sts.ledger.recorded[0][1].registry is sts.registry.make()


@pytest.mark.standard("CIMD-2")
def test_agent_is_opaque(sts: Endpoint) -> None:
    """An agent's client id may be a URL, or worse: it passes through, and shows up nowhere."""
    agent = "https://agent.example/<script>'%0d%0a"
    sts.tokens[ALICES_TOKEN] = a_verified_token(agent=agent)

    response = sts.ask()

    assert response.status_code in {200, 400}
    assert "agent.example" not in f"{response.text}{response.headers}"
    case = (sts.ledger.recorded or sts.ledger.refused)[0][1]
    assert case.subject is not None
    assert case.subject.agent == agent


@pytest.mark.parametrize("body", [form(), form(subject_token=None)], ids=["granted", "refused"])
def test_ledger_out_of_reach(sts: Endpoint, body: bytes) -> None:
    """No record, no answer: neither a token nor a refusal leaves unrecorded."""
    sts.ledger.trouble = Unavailable("ledger_out_of_reach", retry_after=7)

    with capture_logs() as logs:
        response = sts.ask(body, authorization=basic())

    assert refused(response) == (503, "temporarily_unavailable", None)
    assert response.headers["Retry-After"] == "7"
    assert [line["problem"] for line in logs] == ["ledger_out_of_reach"]


@pytest.mark.standard("6749-5.2-3", "8693-5-3")
def test_signing_fails(sts: Endpoint) -> None:
    """A bug is a 500 that says nothing; the record of what was not issued is void."""
    sts.signer.trouble = RuntimeError(f"cannot sign for {ALICES_TOKEN}")

    with capture_logs() as logs:
        response = sts.ask()

    assert refused(response) == (500, "server_error", None)
    assert body_of(response)["error_description"] == "the service has failed"
    assert len(sts.ledger.voided) == 1
    assert logs[0]["error"] == "RuntimeError"
    assert logs[0]["log_level"] == "error"
    assert ALICES_TOKEN not in str(logs)
    assert any("fakes.py" in place for place in logs[0]["at"])


def assert_recorded(sts: Endpoint, response: Any, cause: Cause) -> None:
    """The refusal is in the ledger, once, and the answer names its decision."""
    recorded: list[Refused] = [refusal for refusal, _ in sts.ledger.refused]
    assert [refusal.cause for refusal in recorded] == [cause]
    assert response.headers["Delegation-Decision"] == "refusal-1"
    assert not sts.ledger.recorded
