"""The evidence of every decision: what an event says, and how events leave the store."""
