"""Tracing: what becomes of a request, as spans that OpenTelemetry collects. An extra."""
