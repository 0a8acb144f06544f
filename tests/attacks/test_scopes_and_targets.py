"""Attacks on what is asked for: more scope, other targets, and strings that look like others."""

from urllib.parse import quote

import pytest

from tests.attacks.attack import NOT_PERMITTED, SCOPE, SUBJECT_TOKEN, TARGET, Attack, Service
from tests.signing import ABSENT
from tests.world import EXPIRED_API, LENIENT_API

SCOPES = {
    "not-in-subject-token": "events.write",
    "not-in-grant": "events.delete",
    "subject-vocabulary": "calendar:read",
    "one-too-many": "events.read events.write",
    "upper-case": "EVENTS.READ",
    "nbsp": "events.read\u00a0events.write",
    "ideographic-space": "events.read\u3000events.write",
    "unit-separator": "events.read\x1fevents.write",
    "tab": "events.read\tevents.write",
    "newline": "events.read\nevents.write",
    "trailing-newline": "events.read\n",
    "carriage-return": "events.read\r\nSet-Cookie: injected=1",
    "double-space": "events.read  events.read",
    "leading-space": " events.read",
    "trailing-space": "events.read ",
    "only-space": " ",
    "nul": "events.read\0",
    "quote": 'events.read"',
    "backslash": "events.read\\",
    "emoji": "events.read\U0001f600",
    "fullwidth": "\uff45\uff56\uff45\uff4e\uff54\uff53.read",
    "percent-encoded": "events.read%20events.write",
    "comma": "events.read,events.write",
    "semicolon": "events.read;events.write",
    "star": "*",
    "glob": "events.*",
    "prefix": "events",
    "prefix-dot": "events.",
    "regex": ".+",
    "markup": "<script>alert(1)</script>",
    "ten-thousand": " ".join(f"s{number}" for number in range(10_000)),
    "json": '["events.read"]',
    "admin": "admin",
    "openid": "openid offline_access",
}


@pytest.mark.attack(19)
@pytest.mark.standard("8693-2.1-11", "6749-3.3-1", "6749-3.3-3")
@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
def test_scope_escalation(attack: Attack, scope: str) -> None:
    """More than all parties allow is refused whole, however it is spelled."""
    attack.exchange(SCOPE, scope=scope)


@pytest.mark.attack(19)
@pytest.mark.standard("8693-2.1-17", "6749-3.3-2")
@pytest.mark.parametrize("scope", [None, ""], ids=["omitted", "empty"])
def test_no_scope_means_what_is_allowed(attack: Attack, scope: str | None) -> None:
    """Where nothing is asked for, what the subject token allows is given, and no more."""
    answer = attack.succeeds(scope=scope)

    assert answer.json["scope"] == attack.endpoint.scope


@pytest.mark.attack(19)
@pytest.mark.standard("6749-3.3-1")
def test_a_scope_twice_is_one(attack: Attack) -> None:
    """Duplicates collapse: that is no attack."""
    answer = attack.succeeds(scope=f"{attack.endpoint.scope} {attack.endpoint.scope}")

    assert answer.json["scope"] == attack.endpoint.scope


@pytest.mark.attack(19)
@pytest.mark.standard("8693-4.2-1")
@pytest.mark.parametrize("requested", [None, "events.read"], ids=["default", "asked"])
@pytest.mark.parametrize("scope", [ABSENT, "unknown", "calendar:readx", "CALENDAR:READ"], ids=repr)
def test_a_subject_token_without_scope(
    attack: Attack, scope: object, requested: str | None
) -> None:
    """What the subject token does not say is nothing, not everything."""
    token = attack.login.token(scope=scope)

    attack.exchange(SCOPE, subject_token=token, scope=requested)


@pytest.mark.attack(19)
@pytest.mark.standard("8693-4.2-1")
@pytest.mark.parametrize(
    "scope",
    [
        ["calendar:read"],
        [],
        {"calendar:read": True},
        None,
        7,
        True,
        "",
        " calendar:read",
        "calendar:read\u00a0calendar:write",
        "calendar:read  calendar:write",
        "calendar:read\tcalendar:write",
    ],
    ids=ascii,
)
def test_a_subject_token_with_a_malformed_scope(attack: Attack, scope: object) -> None:
    """A scope claim is one string by the grammar; anything else is no token of this issuer."""
    attack.exchange(SUBJECT_TOKEN, subject_token=attack.login.token(scope=scope))


@pytest.mark.attack(19)
@pytest.mark.usefixtures("own")
def test_downscoping_never_adds(attack: Attack) -> None:
    """A grant that gives less instead of refusing gives no more for it."""
    answer = attack.succeeds(resource=LENIENT_API, scope="events.read events.write admin")

    assert answer.json["scope"] == "events.read"
    attack.exchange(SCOPE, resource=LENIENT_API, scope="events.write admin")


@pytest.mark.attack(19)
@pytest.mark.usefixtures("own")
def test_what_would_have_sufficed(attack: Attack) -> None:
    """The client whose grant it is learns which scope of its own would have sufficed."""
    answer = attack.exchange(SCOPE, scope="events.write")

    assert answer.json["required_scope"] == "calendar:write"
    assert "required_scope" not in attack.exchange(SCOPE, scope="admin").json


TARGETS = {
    "unknown": "https://unknown.example/api",
    "another-grants": "https://rooms.example/api",
    "admits-nobody": "https://payroll.example/api",
    "userinfo": "https://calendar.example@evil.example/api",
    "userinfo-before": "https://evil@calendar.example/api",
    "suffix-host": "https://calendar.example.evil.example/api",
    "prefix-host": "https://xcalendar.example/api",
    "fragment": "https://calendar.example/api#frag",
    "empty-fragment": "https://calendar.example/api#",
    "query": "https://calendar.example/api?x=1",
    "empty-query": "https://calendar.example/api?",
    "relative": "/api",
    "no-scheme": "calendar.example/api",
    "network-path": "//calendar.example/api",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "file": "file:///etc/passwd",
    "plain-http": "http://calendar.example/api",
    "trailing-slash": "https://calendar.example/api/",
    "default-port": "https://calendar.example:443/api",
    "other-port": "https://calendar.example:8443/api",
    "dot-segments": "https://calendar.example/x/../api",
    "encoded-dots": "https://calendar.example/%2e%2e/api",
    "encoded-letter": "https://calendar.example/%61pi",
    "encoded-host": "https://calendar%2eexample/api",
    "upper-case-host": "https://CALENDAR.example/api",
    "upper-case-scheme": "HTTPS://calendar.example/api",
    "backslash": "https://calendar.example\\@evil.example/api",
    "idn": "https://c\u0430lendar.example/api",
    "fullwidth-dot": "https://calendar\uff0eexample/api",
    "ip": "https://127.0.0.1/api",
    "ipv6": "https://[::1]/api",
    "broken-ipv6": "https://[::1/api",
    "huge-port": "https://calendar.example:99999999/api",
    "space": "https://calendar.example/api ",
    "leading-space": " https://calendar.example/api",
    "newline": "https://calendar.example/api\n",
    "crlf": "https://calendar.example/api\r\nX-Injected: 1",
    "nul": "https://calendar.example/api\0",
    "two-in-one": "https://calendar.example/api https://rooms.example/api",
    "prefix": "https://calendar.example/ap",
    "longer": "https://calendar.example/api/v2",
    "host-only": "https://calendar.example",
    "glob": "https://calendar.example/*",
    "star": "*",
    "name-as-resource": "calendar",
    "huge": f"https://calendar.example/{'a' * 3000}",
    "markup": "https://calendar.example/<script>alert(1)</script>",
    "caller": "https://calendar-mcp.example/mcp",
    "other-client": "https://notes-mcp.example/mcp",
}


@pytest.mark.attack(20)
@pytest.mark.standard("8707-2-1", "8707-2-2", "8707-2-4", "8707-2-5", "8693-2.1-7")
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_target_tricks(attack: Attack, target: str) -> None:
    """Unknown, forbidden, malformed: one answer, down to its last byte."""
    as_resource = attack.exchange(TARGET, resource=target)
    as_second = attack.exchange(TARGET, also=[("resource", target)])

    assert as_resource.body == as_second.body
    assert "required_scope" not in as_resource.json


@pytest.mark.attack(20)
@pytest.mark.standard("8693-2.1-8")
@pytest.mark.parametrize(
    "target", [one for one in TARGETS.values() if one != "calendar"], ids=ascii
)
def test_target_tricks_by_name(attack: Attack, target: str) -> None:
    """A logical name is compared just as strictly."""
    attack.exchange(TARGET, resource=None, audience=target)


@pytest.mark.attack(20)
@pytest.mark.standard("8693-5-2")
@pytest.mark.usefixtures("own")
def test_a_grant_that_is_over(attack: Attack) -> None:
    """A grant that has ended permits nothing, though it still stands in the files."""
    for scope in (None, "events.read", "admin"):
        attack.exchange(NOT_PERMITTED, resource=EXPIRED_API, scope=scope)


@pytest.mark.attack(20)
@pytest.mark.standard("8707-2-6")
@pytest.mark.parametrize("parameter", ["resource", "audience"])
@pytest.mark.parametrize("suffix", ["", "/", "/token"])
def test_our_own_issuer_as_target(
    attack: Attack, service: Service, parameter: str, suffix: str
) -> None:
    """We are never a target, nor is the caller itself: that would be minting for oneself."""
    for value in (service.url + suffix, service.client):
        altered = {"resource": None, parameter: value}
        attack.exchange(TARGET, **altered)


@pytest.mark.attack(20)
@pytest.mark.standard("8693-2.1-10")
def test_no_target(attack: Attack) -> None:
    """Without a target there is no token: absence is not everywhere."""
    attack.exchange(TARGET, resource=None)
    attack.exchange(TARGET, resource="")
    attack.exchange(TARGET, resource="", audience="")


@pytest.mark.attack(20)
@pytest.mark.standard("8693-2.1-8", "8693-2.1-9")
@pytest.mark.usefixtures("own")
def test_audience_and_resource(attack: Attack) -> None:
    """Both may be named where both mean the same; where they disagree, neither is taken."""
    attack.succeeds(audience="calendar")
    attack.succeeds(resource=None, audience="calendar")
    for audience in ("rooms", "payroll", "nowhere", "Calendar", "calendar ", quote("calendar:")):
        attack.exchange(TARGET, audience=audience)
