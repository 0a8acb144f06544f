"""The file with the audit key: who may read it can sign checkpoints, and nothing else.

Its first line is the private key, as signed notes write it. Each further line is the verifier key
of one that signed before.
"""

import os
from pathlib import Path

from delegation.audit.note import SignerKey, VerifierKey


def parse_keys(document: bytes) -> tuple[SignerKey, list[VerifierKey]]:
    """The key that signs, and those that have. Raises `ValueError`, with nothing of them."""
    try:
        first, *others = document.decode("ascii").split()
        key, former = SignerKey.parse(first), [VerifierKey.parse(other) for other in others]
    except ValueError:
        raise ValueError("it is no file of `delegation audit new-key`") from None
    if any(other.name != key.name for other in former):
        raise ValueError("its keys have different names, and are not of one trail")
    return key, former


def write_new(path: Path, key: SignerKey) -> None:
    """Put *key* at *path*, for its owner alone. Raises `FileExistsError` and other `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key.kept()}\n")
        file.flush()
        os.fsync(descriptor)
