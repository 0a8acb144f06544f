"""Whom a request came from: only a proxy of ours is believed, and only about its own peer."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.proxies import TrustedProxies

OURS = TrustedProxies.parse("10.0.0.0/8, 2001:db8:a::/48")
SOMEBODY, PROXY, INNER = "198.51.100.7", "10.0.0.1", "10.9.9.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        (PROXY, SOMEBODY, SOMEBODY),
        (PROXY, f"{SOMEBODY}, {INNER}", SOMEBODY),
        (PROXY, f"{SOMEBODY},{INNER} ,\t10.8.8.8", SOMEBODY),
        (PROXY, f"192.0.2.66, {SOMEBODY}", SOMEBODY),
        (PROXY, f"{INNER}, {SOMEBODY}", SOMEBODY),
        (PROXY, f"no address at all, {SOMEBODY}", SOMEBODY),
        (PROXY, INNER, INNER),
        (PROXY, f"{INNER}, 10.8.8.8", INNER),
        ("::ffff:10.0.0.1", SOMEBODY, SOMEBODY),
        (PROXY, f"::ffff:{SOMEBODY}", SOMEBODY),
        ("2001:db8:a::1", "2001:DB8:b::7", "2001:db8:b::7"),
        (PROXY, f"{SOMEBODY}:4711", SOMEBODY),
        (PROXY, "[2001:db8:b::7]:4711", "2001:db8:b::7"),
        (PROXY, "[2001:db8:b::7]", "2001:db8:b::7"),
        (PROXY, f"{SOMEBODY}, [2001:db8:a::2]:80, 10.1.1.1:80", SOMEBODY),
    ],
    ids=[
        "one proxy",
        "two",
        "three",
        "what a stranger wrote",
        "a stranger who names a proxy",
        "a stranger's nonsense",
        "the proxy itself",
        "nobody but proxies",
        "an IPv4 peer on an IPv6 socket",
        "an IPv4 address in IPv6",
        "IPv6, as it is written by the book",
        "a port",
        "IPv6 with a port",
        "IPv6 in brackets",
        "proxies with ports",
    ],
)
def test_the_rightmost_that_no_trusted_proxy_is(peer: str, forwarded: str, source: str) -> None:
    """Each proxy writes whom it was asked by; what was there before may be anybody's."""
    assert OURS.source(peer, forwarded) == source


@pytest.mark.parametrize(
    "peer", [SOMEBODY, "2001:db8:b::1", "", "fe80::1%eth0", "not an address"], ids=ascii
)
def test_of_nobody_else_is_a_header_believed(peer: str) -> None:
    """The address is then the peer's, as it is."""
    assert OURS.source(peer, "192.0.2.66") == peer
    assert TrustedProxies().source(peer, "192.0.2.66") == peer


MALFORMED = [
    "",
    " ",
    ",",
    "unknown",
    "_hidden",
    "198.51.100.7,",
    "198.51.100.256",
    "198.51.100.07",
    "198.51.100",
    "198.51.100.7:",
    "198.51.100.7:123456",
    "198.51.100.7/32",
    "[198.51.100.7",
    "2001:db8::1]:80",
    "[]",
    "fe80::1%<script>",
    "for=198.51.100.7",
    "\u0661.0.0.1",
    "192.0.2.66, x",
    f"192.0.2.66, x, {INNER}",
    "1" * 8000,
]


@pytest.mark.parametrize("forwarded", MALFORMED, ids=lambda text: ascii(text[:20]))
def test_what_cannot_be_read_is_not_believed(forwarded: str) -> None:
    """The address is the peer's; nothing further left is looked at instead."""
    assert OURS.source(PROXY, forwarded) == PROXY


def test_a_socket_of_this_machine_is_trusted_by_name_alone() -> None:
    """Whoever has our socket has no address; the networks say nothing of them."""
    with_socket = TrustedProxies.parse("unix,10.0.0.0/8")

    assert with_socket.source("", SOMEBODY) == SOMEBODY
    assert with_socket.source("", f"{SOMEBODY}, {INNER}") == SOMEBODY
    assert with_socket.source("", "nonsense") == ""
    assert TrustedProxies.parse("unix").source(PROXY, SOMEBODY) == PROXY
    assert OURS.source("", SOMEBODY) == ""


ADDRESSES = st.ip_addresses().map(str) | st.sampled_from([PROXY, INNER, "2001:db8:a::9"])


@given(spoofed=st.text(max_size=60), chain=st.lists(ADDRESSES, min_size=1, max_size=4))
def test_a_prefix_changes_nothing(spoofed: str, chain: list[str]) -> None:
    """Whatever a stranger sends along, the address is the one that the first proxy saw."""
    stranger = [SOMEBODY, *(one for one in chain if OURS.source(one, SOMEBODY) == SOMEBODY)]

    assert OURS.source(PROXY, ", ".join([spoofed, *stranger])) == SOMEBODY


@given(peer=st.text(max_size=20) | ADDRESSES, forwarded=st.text(max_size=80))
def test_any_text_gives_the_peer_or_an_address(peer: str, forwarded: str) -> None:
    """Nothing else is ever in an event, the log or the brake."""
    source = OURS.source(peer, forwarded)

    assert source == peer or str(ip_address(source)) == source


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/8",
        "0.0.0.0/0",
        "10.0.0.0/8,::/0",
        "10.0.0.0/8,",
        "none,10.0.0.0/8",
        "proxy.example.com",
        "10.0.0.0/33",
        "2",
        "*",
        "all",
    ],
)
def test_networks_are_read_strictly(text: str) -> None:
    """Not by name, none that means more than it says, and none that means everybody."""
    with pytest.raises(ValueError, match="must be networks like"):
        TrustedProxies.parse(text)


def test_by_itself_nobody_is_trusted() -> None:
    """Then the application is not even wrapped."""
    application = object()

    assert TrustedProxies.parse("none") == TrustedProxies()
    assert TrustedProxies().before(application) is application  # type: ignore[arg-type]


def test_the_application_sees_whoever_asked() -> None:
    """Whatever reads the address of the peer, reads this."""
    seen = []
    application = OURS.before(lambda environ, _: seen.append(environ["REMOTE_ADDR"]) or [])

    application({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": SOMEBODY}, None)
    application({"REMOTE_ADDR": PROXY}, None)
    application({"HTTP_X_FORWARDED_FOR": SOMEBODY}, None)

    assert seen == [SOMEBODY, PROXY, ""]
