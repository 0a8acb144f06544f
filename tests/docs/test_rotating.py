"""The page on rotation is true to the letter: its commands are run in their order."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from delegation.jose.keyring import Keyring, Status, new_key, write_keys
from delegation.jose.rotation import OUTLIVED_AFTER, PUBLISHED_BEFORE

PAGE = (Path(__file__).parents[2] / "docs/how-to/rotate-keys-and-secrets.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LIST, ROTATE, RETIRE, SECRET = BLOCKS
HURRIED = re.findall(r"^(delegation keys .*?) +#", PAGE, re.MULTILINE)


def said(command: str, folder: Path) -> str:
    """What the page's command prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(  # noqa: S603
        ["bash", "-e", "-c", command],  # noqa: S607
        cwd=folder,
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ran.stdout


def test_a_rotation(tmp_path: Path) -> None:
    """Signing key next, active, retiring, gone; and at once, where it must be."""
    file = tmp_path / "keys.json"
    long_ago = datetime.now(UTC) - PUBLISHED_BEFORE - OUTLIVED_AFTER
    since = int(long_ago.timestamp())
    gone = new_key(status=Status.RETIRING, since=since)
    write_keys(file, [new_key(status=Status.ACTIVE, since=since), new_key(since=since), gone])

    said(LIST, tmp_path)
    rotated = said(ROTATE, tmp_path)
    retired = said(RETIRE, tmp_path)
    for command in HURRIED:
        said(command, tmp_path)

    assert gone.kid in rotated
    assert gone.kid not in retired
    assert len(HURRIED) == 2
    assert [key.status for key in Keyring.load(file).keys] == [Status.ACTIVE, Status.NEXT]


def test_what_the_page_promises() -> None:
    """Minutes are those of the code."""
    assert timedelta(minutes=10) == PUBLISHED_BEFORE
    assert timedelta(minutes=20) == OUTLIVED_AFTER
    assert "ten minutes after it was made" in PAGE
    assert "twenty minutes" in PAGE.replace("\n", " ")


def test_a_secret(tmp_path: Path) -> None:
    """Its digest goes into the registry."""
    assert "sha256:" in said(SECRET, tmp_path)
