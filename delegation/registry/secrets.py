"""Client secrets: made here, shown once, and kept as a digest only."""

import hashlib
from secrets import token_urlsafe

PREFIX = "dlg_"
"""How every client secret begins, so that scanners find one that leaked."""


def new_secret() -> str:
    """A secret with 256 bits of chance, in the form that `Client.holds` asks for."""
    return PREFIX + token_urlsafe(32)


def digest(secret: str) -> str:
    """*secret* as it is written into the registry. No salt: it is far too long to be guessed."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
