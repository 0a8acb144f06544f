"""What a worker runs. Made after the fork, so that nothing alive is shared with its siblings."""

import os

from delegation.lastgood import shared
from delegation.settings import Settings
from delegation.wiring import application as assemble

application = assemble(Settings.from_environment(os.environ), last_good=shared)
