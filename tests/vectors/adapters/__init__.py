"""Adapters: each makes the world of the vectors true on one server, and asks it."""
