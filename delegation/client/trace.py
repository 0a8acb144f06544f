"""The trace that the code which runs now belongs to, where the process keeps any."""

import sys
from collections.abc import Callable
from typing import Any

HEADER = "traceparent"


def current_trace() -> str | None:
    """OpenTelemetry's current span as a `traceparent` (W3C Trace Context §3.2); `None` without."""
    # Not imported: where nobody has done so, there is no span.
    module: Any = sys.modules.get("opentelemetry.trace")
    find: Callable[[], Any] | None = getattr(module, "get_current_span", None)
    if find is None:
        return None
    span = find().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
