"""A line to one server: what is read is always what was sent last."""

import gc
from threading import Thread

import pytest
from redis.exceptions import RedisError, ResponseError
from redis.sentinel import MasterNotFoundError

from delegation.ledger.line import Line, Lines
from delegation.ledger.routing import Routing
from delegation.ledger.topology import OneServer


@pytest.fixture(name="line")
def _line(raw):
    """One of its own, to the server."""
    return Line(raw)


def test_what_was_not_read_is_never_an_answer(line):
    """Whoever gave up is not answered in the name of who comes next."""
    line.send(("ECHO", "first"))
    line.send(("ECHO", "second"))

    assert line.read() == b"second"


@pytest.mark.parametrize("command", [("ECHO",), ("EVALSHA", "0" * 40, 0)], ids=["wrong", "unknown"])
def test_an_error_is_an_answer_to_its_own_command(line, command):
    """The next one has another."""
    line.send(command)
    with pytest.raises(ResponseError):
        line.read()

    line.send(("ECHO", "again"))

    assert line.read() == b"again"


def test_a_connection_that_was_closed_is_made_anew(line, raw):
    """At the second try: the first finds out."""
    line.send(("CLIENT", "ID"))
    raw.client_kill_filter(_id=str(line.read()), skipme=False)
    with pytest.raises(RedisError):
        _asked(line)

    assert _asked(line) == b"there"


def _asked(line):
    line.send(("ECHO", "there"))
    return line.read()


def test_where_nobody_can_be_asked(raw):
    """That a server cannot be found is said when its answer is asked for."""

    class Nowhere(OneServer):
        def primary(self, _key):
            raise MasterNotFoundError("nobody knows")

    answer = Routing(Nowhere(raw)).begin("key", ("PING",))

    with pytest.raises(MasterNotFoundError):
        answer()


def test_each_thread_has_its_own(raw):
    """And when the thread is gone, its connection is another's."""
    lines, found = Lines(), []

    def ask():
        line = lines.to(raw)
        line.send(("CLIENT", "ID"))
        found.append((line is lines.to(raw), line.read()))

    ask()
    other = Thread(target=ask)
    other.start()
    other.join()
    gc.collect()

    (kept, mine), (kept_there, theirs) = found
    assert kept
    assert kept_there
    assert mine != theirs
    assert theirs not in {int(one["id"]) for one in raw.client_list()}
