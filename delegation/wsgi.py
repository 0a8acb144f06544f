"""What a worker runs. Made after the fork, so that nothing alive is shared with its siblings."""

import os
import sys

from delegation.lastgood import shared
from delegation.metrics.sharing import meter
from delegation.settings import Settings
from delegation.wiring import application as assemble

# Files are read anew in a thread. A request waits a dozen times, for the store above all, and each
# time again for that thread to make room: not for the usual five milliseconds.
sys.setswitchinterval(0.0005)

application = assemble(Settings.from_environment(os.environ), last_good=shared, meter=meter())
