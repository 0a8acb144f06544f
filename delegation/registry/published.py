"""The files of a registry as they may be shown: what they say, and no digest of any secret."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from delegation.registry.documents import read
from delegation.registry.entries import Entries, collect
from delegation.registry.loader import Snapshot
from delegation.registry.schema import SECTIONS

Files = Mapping[str, Mapping[str, list[Any]]]
"""For the name of each file, its sections."""


@lru_cache(maxsize=1)
def published(files: Snapshot) -> Files:
    """What *files* say, as values that can be written as JSON, with `fingerprint` for each digest.

    Nothing is in it but what the schema knows: no comment, and nothing that is not right in itself.
    """
    found = {}
    for name, content in files.files:
        entries, _ = collect(read(name, content))
        with_fingerprints(entries)
        found[name] = {
            section: [
                sited.entry.model_dump(mode="json", exclude_unset=True)
                for sited in getattr(entries, section)
            ]
            for section in SECTIONS
            if getattr(entries, section)
        }
    return found


def restored(files: Files) -> Snapshot:
    """Files that say the same, for the loader. Their lines are nobody's."""
    return Snapshot(tuple((name, _text(content).encode()) for name, content in files.items()))


_UNSAFE = re.compile(r"[\x7F-\x9F\u2028-\u202E\u2066-\u2069\uFEFF\uFFFE\uFFFF]")
"""What JSON may hold as it is, and a file may not."""


def _text(content: Mapping[str, list[Any]]) -> str:
    # YAML knows no surrogates: what JSON would write as two of them stands for itself.
    text = json.dumps(content, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def fingerprint(digest: str) -> str:
    """What tells the *digest* of a secret from others, and is good for nothing else.

    It has the form of a digest. Nobody can authenticate by it, and it leads back to no secret.
    """
    return "sha256:" + hashlib.sha256(f"fingerprint {digest}".encode()).hexdigest()


def with_fingerprints(entries: Entries) -> None:
    """Put the fingerprint of each secret's digest into its place."""
    entries.clients = [
        replace(
            sited,
            entry=sited.entry.model_copy(
                update={"secrets": [fingerprint(one) for one in sited.entry.secrets]}
            ),
        )
        if sited.entry.secrets
        else sited
        for sited in entries.clients
    ]
