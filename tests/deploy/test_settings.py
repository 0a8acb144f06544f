"""Every setting that a file of the deployment names is one, and has a value that it can have."""

import re

import pytest

from delegation.settings import PREFIX, SETTINGS
from tests.deploy.places import DEPLOY, ROOT

KNOWN = {setting.variable for setting in SETTINGS}

# What a cluster would set for a service of our name: it is named to say why it must not.
NO_SETTING = {"DELEGATION_SERVICE_HOST"}

FILES = [
    ROOT / "docker-compose.yml",
    ROOT / "docs/how-to/deploy.md",
    *(path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_is_one(path):
    """A name that nobody knows keeps the service from starting."""
    named = set(re.findall(rf"{PREFIX}[A-Z_]+\b", path.read_text("utf-8")))

    assert named - NO_SETTING <= KNOWN


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_value_is_one_that_it_can_have(path):
    """As far as it stands there, and is no path of another machine."""
    settings = {setting.variable: setting for setting in SETTINGS}
    pairs = re.findall(
        rf"\b({PREFIX}[A-Z_]+)[=:] *\"?([^\s\"$%/]\S*?)\"?$", path.read_text(), re.MULTILINE
    )

    for name, value in pairs:
        if not name.endswith("_FILE"):
            settings[name].read(value)
