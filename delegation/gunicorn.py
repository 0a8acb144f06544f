"""How gunicorn serves us; it is given to it as `--config python:delegation.gunicorn`."""

import gc
import os
import sys
from typing import Any

from delegation.lastgood import shared
from delegation.metrics.sharing import Sharing
from delegation.settings import Settings
from delegation.wiring import REGISTRY, SIGNING_KEYS

_settings = Settings.from_environment(os.environ)

# Workers share the code, which is imported by now, and what they last found good: it is filled by
# the first of them. They share nothing that is alive.
for _name in (REGISTRY, SIGNING_KEYS):
    shared(_name)

# A large registry is read anew while requests are served. They wait for the interpreter each time
# that they have waited for anything else: for half a millisecond, not five. And they wait while all
# garbage is collected, which looks at every grant there is, to find nothing: hardly ever. What is
# young is looked through as often as Python does: less often takes less time, but longer at a time.
sys.setswitchinterval(0.0005)
gc.set_threshold(700, 10, 1_000)

# What is imported by now is never garbage; nor is it looked through when a process ends.
gc.freeze()

bind = _settings.bind
workers = _settings.workers
worker_class = "delegation.worker.Worker"

# Registry, keys and connections begin after the fork: each worker loads the application itself.
preload_app = False
control_socket_disable = True

# A worker that is silent for so long is dead: the longest wait is for an issuer's keys.
timeout = 30
graceful_timeout = 30

# Not all of them at the same moment.
max_requests = _settings.max_requests
max_requests_jitter = max_requests // 10

# Nothing that a client sends is worth a longer line, and nothing of it is written to a log.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
accesslog = None

# The source address is the peer's: which header may change it is for our own settings alone.
forwarded_allow_ips = ""

_sharing: Sharing | None = None


def on_starting(server: Any) -> None:
    """Serve what the workers of the token service count, where that is asked for."""
    global _sharing  # noqa: PLW0603, gunicorn knows functions alone
    if _settings.metrics_bind is not None and server.app.app_uri == "delegation.wsgi:application":
        _sharing = Sharing(_settings.metrics_bind, workers=_settings.workers)


def pre_fork(_server: Any, worker: Any) -> None:
    """A worker counts in a place of its own."""
    if _sharing is not None:
        _sharing.take(worker)


def child_exit(_server: Any, worker: Any) -> None:
    """Its place is another's."""
    if _sharing is not None:
        _sharing.leave(worker)


def on_exit(_server: Any) -> None:
    """All have gone."""
    if _sharing is not None:
        _sharing.close()
