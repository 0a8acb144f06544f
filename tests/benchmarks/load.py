"""The load: a process of its own that sends prepared requests, paced or as fast as it can.

It keeps a connection where the server does, and opens a new one for each request where that closes.
"""

import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, SelectSelector
from typing import Any

_PATIENCE = 30.0
"""Seconds without any answer, after which it is no measurement."""


@dataclass(slots=True)
class Connection:
    """One request at a time; *since* is when it should have been sent."""

    address: tuple[str, int]
    opened: socket.socket | None = None
    since: float = 0.0
    answer: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes, since: float) -> socket.socket:
        """Send *request*, on the same connection if there still is one."""
        self.since = since
        self.answer.clear()
        if self.opened is None:
            self.opened = socket.create_connection(self.address, timeout=_PATIENCE)
            self.opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened.settimeout(_PATIENCE)
        self.opened.sendall(request)
        self.opened.settimeout(0)
        return self.opened

    def take(self) -> bool:
        """Read what is there; whether the answer is whole."""
        assert self.opened
        received = self.opened.recv(65536)
        self.answer += received
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not received or not found:
            return not received
        lines = head.lower()
        _, sized, rest = lines.partition(b"\r\ncontent-length:")
        if sized:
            return len(body) >= int(rest.partition(b"\r\n")[0])
        return b"\r\ntransfer-encoding: chunked" in lines and body.endswith(b"0\r\n\r\n")

    @property
    def status(self) -> int:
        """Of the answer; 0 where that is none."""
        return int(self.answer[9:12] or b"0")

    def settle(self) -> bool:
        """Whether the connection is kept; otherwise it is closed."""
        head = bytes(self.answer.partition(b"\r\n\r\n")[0]).lower()
        kept = head.startswith(b"http/1.1") and b"\r\nconnection: close" not in head
        if not kept:
            self.close()
        return kept

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.opened:
            self.opened.close()
            self.opened = None


class Load:
    """Sends each of *requests* once, over so many *connections*; at a *rate*, or without pause."""

    def __init__(
        self,
        address: tuple[str, int],
        requests: list[bytes],
        *,
        connections: int,
        rate: float | None,
    ) -> None:
        self._requests = requests
        self._rate = rate
        self._free = [Connection(address) for _ in range(connections)]
        self._selector = SelectSelector()  # it alone waits for less than a millisecond
        self.times: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.kept = 0
        self.refusal = ""

    def __call__(self) -> float:
        """Send them all; the seconds until the last was answered."""
        began, sent = time.perf_counter(), 0
        while len(self.times) < len(self._requests):
            due = [self._due(number, began) for number in self._startable(sent, began)]
            for since in due:
                connection = self._free.pop()
                opened = connection.send(self._requests[sent], since)
                self._selector.register(opened, EVENT_READ, connection)
                sent += 1
            self._receive(self._patience(sent, began))
        taken = time.perf_counter() - began
        for connection in self._free:
            connection.close()
        return taken

    def _startable(self, sent: int, began: float) -> Iterator[int]:
        """The numbers of those that may be sent now."""
        now = time.perf_counter()
        for number in range(sent, min(sent + len(self._free), len(self._requests))):
            if self._rate is not None and began + number / self._rate > now:
                return
            yield number

    def _due(self, number: int, began: float) -> float:
        """Paced, whoever waits for a connection waits already."""
        return time.perf_counter() if self._rate is None else began + number / self._rate

    def _patience(self, sent: int, began: float) -> float:
        if self._rate is None or sent >= len(self._requests) or not self._free:
            return _PATIENCE
        return max(0.0, began + sent / self._rate - time.perf_counter())

    def _receive(self, patience: float) -> None:
        ready = self._selector.select(patience)
        if not ready and patience == _PATIENCE:
            sys.exit("the server has not answered")
        for key, _ in ready:
            connection: Connection = key.data
            if not connection.take():
                continue
            self.times.append(time.perf_counter() - connection.since)
            self.statuses[connection.status] += 1
            if connection.status != 200 and not self.refusal:
                self.refusal = connection.answer.decode(errors="replace")
            self._selector.unregister(key.fileobj)
            self.kept += connection.settle()
            self._free.append(connection)


def as_sent(body: str, *, path: str, headers: Mapping[str, str]) -> bytes:
    """A request, whole."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}"])
    return f"{head}\r\n\r\n{body}".encode()


def main(plan: dict[str, Any]) -> None:
    """Do what *plan* says; print what came back, as JSON."""
    host = f"{plan['host']}:{plan['port']}"
    requests = [
        as_sent(body, path=plan["path"], headers={"Host": host, **plan["headers"]})
        for body in Path(plan["bodies"]).read_text("ascii").splitlines()
    ]
    load = Load(
        (plan["host"], plan["port"]),
        requests,
        connections=plan["connections"],
        rate=plan["rate"],
    )
    seconds = load()
    times = sorted(load.times)
    result = {
        "sent": len(times),
        "granted": load.statuses[200],
        "kept": load.kept > len(times) // 2,
        "refusal": load.refusal,
        "seconds": seconds,
        **{f"p{part}": times[len(times) * part // 100] * 1000 for part in (50, 95, 99)},
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
