"""Lets AI agents act for people without token passthrough: an RFC 8693 token exchange service."""
