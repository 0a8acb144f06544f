# ruff: noqa: INP001, it is a program of its own
"""Make the store's passwords: users.acl with their digests, and a file with a URL for each user.

The store gets users.acl, which holds no secret. The service gets service.url, the admin API
admin.url and the sealer sealer.url, each its own alone. Only Python is needed.
"""

import argparse
import hashlib
import os
import secrets
import sys
from pathlib import Path

RULES = Path(__file__).with_name("valkey") / "users.acl"

URLS = {
    "delegation": "service.url",
    "delegation-admin": "admin.url",
    "delegation-sealer": "sealer.url",
}
"""Who logs in with a URL of their own, and the file that holds it."""


def main() -> None:
    """Write all files, or none where one of them is there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument(
        "--store",
        default="redis://{user}@valkey:6379/0",
        help="the store's URL, with {user} where user and password go; default: %(default)s",
    )
    arguments = parser.parse_args()
    rules = RULES.read_text("ascii")
    files = {"users.acl": 0o644}
    texts = {}
    for user, name in URLS.items():
        password = secrets.token_urlsafe(32)
        digest = hashlib.sha256(password.encode()).hexdigest()
        rules = rules.replace(f"user {user} reset on ", f"user {user} reset on #{digest} ")
        texts[name] = arguments.store.replace("{user}", f"{user}:{password}") + "\n"
        files[name] = 0o600
    texts["users.acl"] = rules
    _write_all(arguments.directory, texts, files)
    sys.stdout.write(f"Wrote {', '.join(sorted(files))} in {arguments.directory}.\n")


def _write_all(directory: Path, texts: dict[str, str], modes: dict[str, int]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = [name for name in texts if (directory / name).exists()]
    if there:
        sys.exit(f"{', '.join(there)} is in {directory} already: nothing was changed.")
    for name, text in texts.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(directory / name, flags, modes[name]), "w") as file:
            os.fchmod(file.fileno(), modes[name])
            file.write(text)


if __name__ == "__main__":
    main()
