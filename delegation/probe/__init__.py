"""Tries a running service from outside, as its clients do: what must work, and what must not."""
