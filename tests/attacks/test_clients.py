"""Attacks by clients: who pretend to be others, or present what was stolen from others."""

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from delegation.jose.keyring import new_key
from delegation.registry.secrets import new_secret
from tests.attacks.attack import (
    BRAKE,
    CLIENT,
    MALFORMED,
    NOT_ENABLED,
    SUBJECT_TOKEN,
    Attack,
    Service,
    must_be_proper,
)
from tests.attacks.endpoint import Answer, basic, encoded
from tests.signing import ABSENT
from tests.world import (
    IDLE,
    ODD,
    PUBLIC,
    SIGNED_API,
    SIGNING,
    SIGNING_MCP,
    Signer,
    TestWorld,
    a_test_world,
)

CHALLENGE = 'Basic realm="delegation"'
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def _without(attack: Attack, **also: str) -> Answer:
    """An exchange whose client authenticates by nothing but the parameters *also*."""
    return attack.endpoint.exchange(headers={"Authorization": None}, also=list(also.items()))


def _as(attack: Attack, authorization: str | bytes) -> Answer:
    return attack.endpoint.exchange(headers={"Authorization": authorization})


def _must_be_challenged(answer: Answer) -> None:
    assert answer.header("WWW-Authenticate") == CHALLENGE


@pytest.mark.attack(23)
@pytest.mark.standard("8693-2.1-13", "6749-5.2-1")
def test_no_authentication(attack: Attack, service: Service) -> None:
    """Nobody exchanges anonymously: not with a client's name, nor with an empty secret."""
    name = service.client
    for answer in (
        attack.fails(CLIENT, lambda: _without(attack)),
        attack.fails(CLIENT, lambda: _without(attack, client_id=name)),
        attack.fails(CLIENT, lambda: _without(attack, client_id=name, client_secret="")),
        attack.fails(CLIENT, lambda: _as(attack, basic(name, ""))),
        attack.fails(CLIENT, lambda: _as(attack, "")),
    ):
        _must_be_challenged(answer)


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-4")
@pytest.mark.parametrize("way", ["basic", "post"])
@pytest.mark.usefixtures("own")
def test_unknown_and_wrong_answer_alike(attack: Attack, service: Service, way: str) -> None:
    """Nobody learns which clients there are: all but the date and the request's name is the same.

    It is named where a line was logged, and so many a minute are, whoever it was.
    """

    def answer(client: str, secret: str) -> Answer:
        if way == "basic":
            return attack.fails(CLIENT, lambda: _as(attack, basic(client, secret)))
        return attack.fails(
            CLIENT, lambda: _without(attack, client_id=client, client_secret=secret)
        )

    answers = [
        answer(service.client, new_secret()),
        answer(service.client, "guess"),
        answer(service.client, service.other[1]),
        answer("nobody-mcp", new_secret()),
        answer("nobody-mcp", service.secret),
        answer("", service.secret),
    ]

    assert len({one.body for one in answers}) == 1
    own = {"Date", "X-Request-Id"}
    heads = [[pair for pair in one.headers if pair[0] not in own] for one in answers]
    assert all(head == heads[0] for head in heads)
    _must_be_challenged(answers[0])


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-1")
@pytest.mark.parametrize("in_header", ["right", "wrong"])
@pytest.mark.parametrize("in_body", ["right", "wrong", "assertion"])
def test_two_mechanisms(attack: Attack, service: Service, in_header: str, in_body: str) -> None:
    """Two ways to authenticate are one too many, though one or both be right."""
    secrets = {"right": service.secret, "wrong": new_secret()}
    also = {
        "assertion": {"client_assertion": "a.b.c", "client_assertion_type": JWT_BEARER},
    }.get(in_body) or {"client_id": service.client, "client_secret": secrets[in_body]}
    headers = {"Authorization": basic(service.client, secrets[in_header])}

    attack.exchange(MALFORMED, headers=headers, also=list(also.items()))


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-1")
def test_two_mechanisms_in_the_body(attack: Attack, service: Service) -> None:
    """The same, where both are in the form."""
    attack.fails(
        MALFORMED,
        lambda: _without(
            attack,
            client_id=service.client,
            client_secret=service.secret,
            client_assertion="a.b.c",
            client_assertion_type=JWT_BEARER,
        ),
    )


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-5")
@pytest.mark.parametrize("name", ["notes-mcp", "nobody-mcp", "CALENDAR-MCP"])
def test_another_client_id_beside_the_credentials(attack: Attack, name: str) -> None:
    """A `client_id` in the form must be that of the credentials."""
    attack.exchange(MALFORMED, client_id=name)


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-2")
@pytest.mark.parametrize(
    "header",
    [
        encoded(b"\xff\xfe:\xff"),
        encoded(b"calendar-mcp:%FF"),
        encoded(b"calendar-mcp"),
        encoded(b":"),
        encoded(b""),
        encoded(b"calendar-mcp:x\0y"),
        encoded(b"calendar-mcp:" + b"x" * 5000),
        "Basic",
        "Basic %%%",
        "Basic Y2FsZW5kYXItbWNw:",
        "Basic Zm9vOmJhcg",
        "Basic Zm9vOmJhcg===",
        "Basic Zm9vOmJhch==",
        "basic",
        "Bearer eyJhbGciOiJub25lIn0.e30.x",
        'Digest username="calendar-mcp"',
        "Negotiate Zm9vOmJhcg==",
        b"Basic \xff\xfe",
        b"\xff",
        "Basic Zm9vOmJhcg==, Basic Zm9vOmJhcg==",
    ],
    ids=lambda header: ascii(header)[:40],
)
def test_a_malformed_authorization_header(attack: Attack, header: str | bytes) -> None:
    """What cannot be read authenticates nobody, and breaks nothing."""
    _must_be_challenged(attack.fails(CLIENT, lambda: _as(attack, header)))


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-2")
def test_credentials_in_two_headers(attack: Attack, service: Service) -> None:
    """Two headers are no header, also where each of them is right."""
    form = urlencode(attack.endpoint.form()).encode()
    once = basic(service.client, service.secret)
    headers = {"Authorization": once, "authorization": once}

    attack.fails(CLIENT, lambda: attack.endpoint.send(form, headers=headers))


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-2")
def test_credentials_are_form_urlencoded(attack: Attack, service: Service) -> None:
    """Percent and plus mean what they mean in a form (RFC 6749 section 2.3.1)."""
    escaped = "".join(f"%{ord(char):02X}" for char in service.secret)
    pair = f"{service.client}:{escaped}".encode()

    assert _as(attack, encoded(pair)).status == 200
    for wrong in (
        service.secret + "+",
        service.secret + "%20",
        service.secret.replace("_", " ", 1),
        service.secret + "%",
        service.secret.swapcase(),
    ):
        attack.fails(CLIENT, lambda w=wrong: _as(attack, encoded(f"{service.client}:{w}".encode())))


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-2")
def test_a_client_whose_name_must_be_encoded(attack: Attack, own: TestWorld) -> None:
    """Encoded it is known, and as it stands it is somebody else."""
    secret = own.secrets[ODD]

    # It has no grant and no token: that it gets so far says that it was authenticated.
    attack.as_client(ODD, secret).exchange(SUBJECT_TOKEN)
    attack.fails(CLIENT, lambda: _as(attack, encoded(f"{ODD}:{secret}".encode())))


@pytest.mark.attack(23)
@pytest.mark.standard("8693-2.1-13")
@pytest.mark.parametrize("secret", ["", "dlg_", "None", "null", "0" * 64])
def test_a_public_client(attack: Attack, own: TestWorld, secret: str) -> None:
    """A client without a secret cannot be claimed by anybody, with none or with any."""
    assert PUBLIC not in own.secrets

    attack.fails(CLIENT, lambda: _as(attack, basic(PUBLIC, secret)))
    attack.fails(CLIENT, lambda: _without(attack, client_id=PUBLIC, client_secret=secret))


@pytest.mark.attack(23)
@pytest.mark.standard("6749-5.2-2")
def test_a_client_that_may_not_exchange(attack: Attack, own: TestWorld) -> None:
    """It is told so, though its token be sound."""
    token = own.login.token(aud=f"https://{IDLE}.example/mcp")

    attack.as_client(IDLE, own.secrets[IDLE]).exchange(NOT_ENABLED, subject_token=token)


def _asserting(attack: Attack, own: TestWorld, assertion: str) -> Answer:
    """An exchange by *signing-mcp*, which authenticates by *assertion*."""
    return attack.endpoint.exchange(
        headers={"Authorization": None},
        also=[("client_assertion", assertion), ("client_assertion_type", JWT_BEARER)],
        subject_token=own.login.token(aud=SIGNING_MCP),
        resource=SIGNED_API,
    )


@pytest.mark.attack(23)
@pytest.mark.standard("7523-1", "7523-4")
def test_an_assertion_without_a_key(attack: Attack, service: Service) -> None:
    """Who has registered no key authenticates by no assertion, though a trusted issuer signed."""
    token = service.login.token(iss=service.client, sub=service.client, aud=service.url)

    attack.fails(
        CLIENT,
        lambda: _without(attack, client_assertion=token, client_assertion_type=JWT_BEARER),
    )


@pytest.mark.attack(14)
@pytest.mark.standard("7523bis-1", "7523-5", "BCPupd-1")
@pytest.mark.parametrize(
    "audience",
    ["{url}/token", "{url}/", "https://other.example", "{url} https://other.example"],
)
def test_an_assertion_for_others(attack: Attack, own: TestWorld, audience: str) -> None:
    """We are its sole audience, by our issuer identifier alone: not by our endpoint's address."""
    values = audience.format(url=own.world.url).split()
    assertion = own.signer.assertion(aud=values if len(values) > 1 else values[0])

    answer = attack.fails(CLIENT, lambda: _asserting(attack, own, assertion))

    _must_be_challenged(answer)


@pytest.mark.attack(14)
@pytest.mark.standard("7523-2", "7523bis-3")
@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {"aud": ABSENT}),
        ({}, {"iss": "calendar-mcp", "sub": "calendar-mcp"}),
        ({}, {"sub": "calendar-mcp"}),
        ({}, {"exp": 4102444800}),
        ({}, {"exp": 1}),
        ({}, {"jti": ABSENT}),
        ({"typ": "at+jwt"}, {}),
        ({"alg": "HS256"}, {}),
        ({"kid": "another"}, {}),
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for name, value in changes.items()) or "-",
)
def test_a_wrong_assertion(
    attack: Attack, own: TestWorld, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    """Sound in all but one thing, it authenticates nobody."""
    assertion = own.signer.assertion(header=header, **claims)

    attack.fails(CLIENT, lambda: _asserting(attack, own, assertion))


@pytest.mark.attack(14)
@pytest.mark.standard("7523-4")
def test_an_assertion_that_brings_its_own_key(attack: Attack, own: TestWorld) -> None:
    """Whoever signs in another's name is not helped by a key in the header (CVE-2026-27962)."""
    forger = Signer(SIGNING, audience=own.world.url, key=new_key())

    for header in ({}, {"kid": own.signer.kid}, {"jwk": forger.key.published()}):
        assertion = forger.assertion(header=header)
        attack.fails(CLIENT, lambda a=assertion: _asserting(attack, own, a))


@pytest.mark.attack(14)
@pytest.mark.standard("7523-1", "7523-3", "STK-14", "STK-15")
def test_a_replayed_assertion(attack: Attack, own: TestWorld) -> None:
    """Of twenty at once, over all workers, one gets in; and none later."""
    assertion = own.signer.assertion()

    def use(_: int) -> Answer:
        return _asserting(Attack(attack.service), own, assertion)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(use, range(20)))

    assert sorted(answer.status for answer in answers) == [200] + [CLIENT.status] * 19
    attack.fails(CLIENT, lambda: _asserting(attack, own, assertion))
    assert _asserting(attack, own, own.signer.assertion()).status == 200


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-3")
def test_a_secret_in_the_url(attack: Attack, service: Service) -> None:
    """Secrets in a URL are never read: whoever sends them there must notice."""
    query = urlencode({"client_id": service.client, "client_secret": service.secret})
    form = urlencode(attack.endpoint.form()).encode()

    for authorization in (None, basic(service.client, service.secret)):
        headers = {"Authorization": authorization}
        attack.fails(
            MALFORMED,
            lambda h=headers: attack.endpoint.send(form, path=f"/token?{query}", headers=h),
        )


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-4")
@pytest.mark.parametrize("known", [True, False], ids=["known-client", "unknown-client"])
@pytest.mark.usefixtures("own")
def test_guessing(attack: Attack, service: Service, known: bool) -> None:  # noqa: FBT001
    """Whoever guesses too often has to wait; who has the right secret never has to."""
    client = service.client if known else "nobody-mcp"

    answers = [_as(attack, basic(client, new_secret())) for _ in range(60)]

    slowed = [answer for answer in answers if answer.status == BRAKE.status]
    assert slowed
    for answer in slowed:
        must_be_proper(answer, BRAKE)
        assert 1 <= int(answer.header("Retry-After") or 0) <= 60
    for answer in answers:
        if answer not in slowed:
            must_be_proper(answer, CLIENT)
    with ThreadPoolExecutor(4) as pool:
        right = list(pool.map(lambda _: attack.endpoint.exchange(), range(12)))
    assert {answer.status for answer in right} == {200}
    elsewhere = Attack(service)
    elsewhere.fails(CLIENT, lambda: _as(elsewhere, basic(client, new_secret())))


@pytest.mark.attack(23)
@pytest.mark.standard("6749-2.3-3")
def test_a_secret_in_place_of_the_id(tmp_path: Path) -> None:
    """Who mixes up id and secret is refused, and finds neither the secret nor a token in a log."""
    with a_test_world(tmp_path, workers=1) as world:
        endpoint = replace(Service.of(world).endpoint(), client=world.secrets["calendar-mcp"])
        token = world.login.token()

        answers = [
            endpoint.exchange(),
            endpoint.exchange(headers={"Authorization": basic(token, "guess")}),
        ]

        assert [answer.status for answer in answers] == [401, 401]
        assert world.secrets["calendar-mcp"] not in world.log
        assert token[:64] not in world.log


@pytest.mark.attack(23)
def test_base64_in_other_alphabets(attack: Attack, service: Service) -> None:
    """Credentials are written in one way: a proxy that compares them must not be fooled."""
    pair = f"{service.client}:{service.secret}".encode()
    plain = base64.b64encode(pair).decode()

    for written in (
        f"{plain}=",
        f"{plain[:8]} {plain[8:]}",
        f"{plain[:8]}*{plain[8:]}",
        base64.b64encode(pair + b"\n").decode(),
        base64.b16encode(pair).decode(),
    ):
        attack.fails(CLIENT, lambda w=written: _as(attack, f"Basic {w}"))


@pytest.mark.attack(24)
@pytest.mark.standard("8725-3.9-1", "8693-5-2")
def test_a_stolen_token(attack: Attack, service: Service) -> None:
    """A token of one client is worth nothing to another, somebody is alarmed, and its own client
    can go on (CVE-2026-56668, CVE-2022-1245).
    """
    token = service.login.token()
    thief = attack.as_client(*service.other)

    answer = thief.exchange(SUBJECT_TOKEN, subject_token=token)

    if service.own is not None:
        event = service.own.books.refusal(answer.header("Delegation-Decision") or "")
        assert event["alarm"] is True
        assert event["cause"] == "presented_by_another_client"
        assert event["client"] == service.other[0]
        assert event["subject"]["sub"] == "alice"
        assert token not in str(event)
    attack.succeeds(subject_token=token)
    attack.succeeds(subject_token=token)


@pytest.mark.attack(24)
@pytest.mark.standard("8725-3.9-1")
def test_a_stolen_issued_token(attack: Attack, service: Service) -> None:
    """The same of a token of ours: nobody exchanges it but the API that it is for."""
    issued = attack.succeeds().json["access_token"]

    for thief in (attack, attack.as_client(*service.other)):
        thief.exchange(SUBJECT_TOKEN, subject_token=issued)
        thief.exchange(SUBJECT_TOKEN, subject_token=issued, resource="https://rooms.example/api")
