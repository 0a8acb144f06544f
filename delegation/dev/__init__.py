"""A world of real parts on this machine alone, for the demo, for development and for tests."""
