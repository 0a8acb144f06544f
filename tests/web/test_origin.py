"""What a client says of its call: kept as what it says, left out where it is malformed."""

import pytest

from delegation.domain.case import Claimed
from delegation.web.origin import origin_of
from tests.web.endpoint import MALFORMED, Endpoint, form, issued, post, refused

HEADERS = {
    "HTTP_MCP_METHOD": "tools/call",
    "HTTP_MCP_NAME": "create_event",
    "HTTP_DELEGATION_CONSENT": "consent-1",
}
SAID = Claimed(method="tools/call", name="create_event", consent="consent-1")


def test_what_a_client_says_of_its_call_is_in_the_case(sts: Endpoint) -> None:
    """Of a granted exchange and of a refusal; nothing of it is in an answer."""
    granted = sts.ask(**HEADERS)
    denied = sts.ask(post(subject_token=None), **HEADERS)

    assert issued(granted)
    assert refused(denied) == MALFORMED
    assert sts.ledger.recorded[0][1].origin.claimed == SAID
    assert sts.ledger.refused[0][1].origin.claimed == SAID
    for answer in (granted, denied):
        assert not any(text in f"{answer.text}{answer.headers}" for text in HEADERS.values())


def test_most_say_nothing(sts: Endpoint) -> None:
    """Then there is nothing to tell."""
    sts.ask()

    assert sts.ledger.recorded[0][1].origin.claimed is None


SOUND = ["a", "tools/call", "create an event", "=?base64?w6k=?=", "x" * 256, "<script>", "a,b"]
UNSOUND = ["", " ", " a", "a ", "a\tb", "a\r\nb", "\xe9t\xe9", "\x00", "\x7f", "x" * 257]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    "value", [*SOUND, *UNSOUND], ids=lambda value: f"{value[:9]!a} {len(value)}"
)
def test_what_is_malformed_is_as_good_as_absent(sts: Endpoint, header: str, value: str) -> None:
    """It never refuses an exchange, and is in no event: what else was said stays."""
    others = {name: text for name, text in HEADERS.items() if name != header}

    assert issued(sts.ask(**others, **{header: value}))

    expected = origin_of(others | ({header: value} if value in SOUND else {}))
    assert sts.ledger.recorded[0][1].origin.claimed == expected.claimed
    alone = origin_of({header: value}).claimed
    assert (alone is not None) is (value in SOUND)


def test_nothing_is_decided_by_a_claim(sts: Endpoint) -> None:
    """Whatever it says, the token is the same."""
    plain, claiming = sts.ask(form(), authorization=None), sts.ask(**HEADERS)

    assert refused(plain)[0] == 401
    assert issued(claiming) | {"access_token": ""} == issued(sts.ask()) | {"access_token": ""}
