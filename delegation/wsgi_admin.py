"""What a worker of the admin API runs. Made after the fork, as that of the service."""

import os

from delegation.lastgood import shared
from delegation.settings import Settings
from delegation.wiring import admin_application as assemble

application = assemble(Settings.from_environment(os.environ), last_good=shared)
"""How gunicorn finds it."""
