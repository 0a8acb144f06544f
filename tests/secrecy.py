"""Nothing that was entrusted to a service stands in what it writes: its log, or its metrics."""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{12}")
"""How every JWT begins, and every part of one that is JSON; but so may an id that is drawn."""

_SECRET = re.compile(r"dlg_[A-Za-z0-9_-]{20}")
"""How every client secret begins."""

_BEGUN = re.compile(r"(?<![A-Za-z0-9_-])eyJ|dlg_")
"""How either begins, however little of it is shown: before a drawn id of ours there is a hyphen."""

_LONG = re.compile(r"[A-Za-z0-9_-]{65,}")
"""Longer than any digest or name of ours: a signature, or what is only called a secret."""


def leaks(text: str, *, known: Iterable[str]) -> Iterator[str]:
    """Whatever in *text* is a token, a secret, a signature or a key, or is *known* to be one.

    What is known is looked for in part, and as it is written into a header, too (RFC 7617 §2).
    """
    yield from filter(_is_json, _TOKEN.findall(text))
    for kind in (_SECRET, _LONG):
        yield from kind.findall(text)
    for secret in known:
        for form in (*_parts(secret), *_within_basic(secret)):
            if form in text:
                yield form


def shows_any(text: str) -> bool:
    """Whether *text* has so much as the beginning of a token, or of a client secret."""
    return _BEGUN.search(text) is not None


_LOGS = ("*.log", "log", "access", "errors")
"""How files are called that services, sealers and proxies of tests write to."""


def leaking(directory: Path) -> list[str]:
    """The logs anywhere below *directory* that hold any such thing, each with what it is like."""
    logs = sorted({log for name in _LOGS for log in directory.rglob(name) if log.is_file()})
    found = {log: [*leaks(log.read_text(errors="replace"), known=())] for log in logs}
    return [f"{log}: {texts[0][:8]}..." for log, texts in found.items() if texts]


def _is_json(begun: str) -> bool:
    """Whether it is Base64 of text, which one in 2,800 of the ids that begin so would be."""
    content = base64.urlsafe_b64decode(begun + "=")
    return content.isascii() and content.decode().isprintable()


def _parts(secret: str) -> Iterator[str]:
    """Pieces of it, so that any longer one holds one of them."""
    for start in range(0, len(secret) - 15, 8):
        yield secret[start : start + 16]


def _within_basic(secret: str) -> Iterator[str]:
    """What is surely found of *secret* in Base64, wherever in a text that is encoded it begins."""
    for skipped in range(3):
        encoded = base64.b64encode(secret[skipped:].encode()).decode()
        yield encoded[: len(encoded) // 4 * 4 - 4]
