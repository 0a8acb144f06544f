"""The load: a process of its own that sends prepared requests as fast as they are answered."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit


def main(url: str, authorization: str, bodies: str, connections: str) -> None:
    """Send each line of the file *bodies* once; print what came back, as JSON."""
    address = urlsplit(url)

    def send(body: str) -> tuple[int, float]:
        began = time.perf_counter()
        connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
        connection.request(
            "POST",
            "/token",
            body,
            {
                "Authorization": authorization,
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, time.perf_counter() - began

    requests = Path(bodies).read_text().splitlines()
    began = time.perf_counter()
    with ThreadPoolExecutor(int(connections)) as pool:
        answers = list(pool.map(send, requests))
    seconds = time.perf_counter() - began
    times = sorted(taken for _, taken in answers)
    result = {
        "sent": len(answers),
        "granted": sum(status == 200 for status, _ in answers),
        "seconds": seconds,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[len(times) * 99 // 100] * 1000,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
