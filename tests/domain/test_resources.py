"""What can be the identifier of a resource."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.errors import Cause, InvalidTarget
from delegation.domain.resources import Targets, is_loopback, is_resource_uri


@pytest.mark.standard("8693-2.1-7", "8707-2-1")
@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("https://calendar.example.com", id="host"),
        pytest.param("https://calendar.example.com/", id="root"),
        pytest.param("https://calendar.example.com/api/v1", id="path"),
        pytest.param("https://calendar.example.com:8443/api", id="port"),
        pytest.param("https://calendar.example.com/api?tenant=7", id="query"),
        pytest.param("https://calendar.example.com?tenant=7", id="query-without-path"),
        pytest.param("https://xn--bcher-kva.example/", id="a-label"),
        pytest.param("https://192.0.2.1/api", id="ip-literal"),
        pytest.param("https://[2001:db8::1]:8443/api", id="ipv6-literal"),
        pytest.param("https://calendar.example.com/%2e%2e/api", id="percent-encoded-path"),
        pytest.param("https://calendar.example.com/@alice", id="at-sign-in-path"),
        pytest.param("http://localhost:8080/mcp", id="http-on-localhost"),
        pytest.param("http://127.0.0.1/mcp", id="http-on-loopback"),
        pytest.param("http://[::1]:8080/mcp", id="http-on-ipv6-loopback"),
    ],
)
def test_an_absolute_https_uri_can_be_a_resource(uri: str) -> None:
    """With port, path and query; whether it is one is for the registry to say."""
    assert is_resource_uri(uri)
    assert Targets(resources=(uri,)).resources == (uri,)


@pytest.mark.standard("8693-2.1-7", "8707-2-1", "8707-2-2", "8707-2-5")
@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("", id="empty"),
        pytest.param("calendar", id="name"),
        pytest.param("/api", id="relative"),
        pytest.param("//calendar.example.com/api", id="no-scheme"),
        pytest.param("https:calendar.example.com", id="no-slashes"),
        pytest.param("https:///api", id="no-host"),
        pytest.param("https://", id="nothing-behind-the-scheme"),
        pytest.param("https://:443/api", id="port-without-host"),
        pytest.param("https://calendar.example.com/api#admin", id="fragment"),
        pytest.param("https://calendar.example.com/api#", id="empty-fragment"),
        pytest.param("https://calendar.example.com@evil.example/", id="userinfo"),
        pytest.param("https://user:secret@calendar.example.com/", id="password"),
        pytest.param("https://calendar.example.com\\@evil.example/", id="backslash"),
        pytest.param("https://evil.example\\.calendar.example.com", id="backslash-in-host"),
        pytest.param("https://calendar%2eexample.com/", id="percent-encoded-host"),
        pytest.param("https://b\u00fccher.example/", id="u-label"),
        pytest.param("https://calend\u0430r.example.com/", id="look-alike"),
        pytest.param("https://calendar.example.com\u3002evil.example/", id="ideographic-stop"),
        pytest.param("https://calendar.example.com/a b", id="space"),
        pytest.param(" https://calendar.example.com/", id="leading-space"),
        pytest.param("https://calendar.example.com/\n", id="line-break"),
        pytest.param("https://calendar.example.com/\x00", id="nul"),
        pytest.param("https://calendar.example.com/\u00e9", id="not-ascii"),
        pytest.param('https://calendar.example.com/"', id="quote"),
        pytest.param("https://calendar.example.com:x/", id="port-is-no-number"),
        pytest.param("https://calendar.example.com:99999/", id="port-is-too-large"),
        pytest.param("https://[2001:db8::1/", id="open-bracket"),
        pytest.param("https://[calendar]/", id="no-address-in-brackets"),
        pytest.param("HTTPS://calendar.example.com/", id="upper-case-scheme"),
        pytest.param("http://calendar.example.com/api", id="http"),
        pytest.param("http://localhost.evil.example/", id="http-almost-on-localhost"),
        pytest.param("http://127.0.0.1.evil.example/", id="http-almost-on-loopback"),
        pytest.param("ftp://calendar.example.com/", id="ftp"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("urn:example:calendar", id="urn"),
        pytest.param("https://calendar.example.com/" + "x" * 2048, id="too-long"),
    ],
)
def test_what_cannot_be_a_resource_is_refused(uri: str) -> None:
    """As malformed; nothing is trimmed, decoded or mended."""
    assert not is_resource_uri(uri)
    with pytest.raises(InvalidTarget) as caught:
        Targets(resources=("https://calendar.example.com/", uri))

    assert caught.value.cause is Cause.TARGET_MALFORMED


@given(text=st.text(st.sampled_from("htps:/.?#[]@\\%1a \u00e9"), max_size=24) | st.text())
def test_no_text_is_too_strange_to_be_judged(text: str) -> None:
    """Any text behind the scheme, too, is a resource or is not, and raises nothing."""
    for uri in (text, f"https://{text}", f"http://{text}"):
        assert is_resource_uri(uri) in {True, False}


@pytest.mark.standard("8693-2.1-8", "8707-2-2")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 2049, id="too-long"),
        pytest.param("calendar\n", id="line-break"),
        pytest.param("calendar\x00", id="nul"),
        pytest.param("calendar\u202e", id="right-to-left-override"),
    ],
)
def test_a_logical_name_is_printable_and_bounded(name: str) -> None:
    """Else it is malformed."""
    with pytest.raises(InvalidTarget) as caught:
        Targets(audiences=("calendar", name))

    assert caught.value.cause is Cause.TARGET_MALFORMED


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    """By its three usual names."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0"])  # noqa: S104
def test_nothing_else_is(host: str) -> None:
    """Least of all what only begins like it."""
    assert not is_loopback(host)
