"""Conformance vectors for token exchange and actor chains, for any server; see README.md."""
