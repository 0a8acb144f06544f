"""The cool-down: what may be done once in a while is done once, by whichever worker."""

import pytest

from delegation.ledger.cooldown import SharedCooldown
from delegation.ledger.server import Server

pytestmark = pytest.mark.standard("8725-3.10-2")


def test_a_cooldown_is_for_all_workers(server, valkey):
    """Whoever comes first may; nobody else until it is over. Each name has its own."""
    other = Server(f"unix://{valkey.unix_socket_path}", timeout=2)

    assert SharedCooldown(server, seconds=60).begin("https://login.example.com")

    assert not SharedCooldown(other, seconds=60).begin("https://login.example.com")
    assert SharedCooldown(other, seconds=60).begin("https://login.example.net")
    other.close()


def test_a_cooldown_ends(server, raw):
    """It lasts as long as it says; its key tells no name."""
    SharedCooldown(server, seconds=60).begin("https://login.example.com")

    [key] = raw.keys()

    assert b"login" not in key
    assert 59_000 < raw.pttl(key) <= 60_000
    raw.delete(key)
    assert SharedCooldown(server, seconds=60).begin("https://login.example.com")
