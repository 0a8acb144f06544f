"""What an MCP server or an API imports. It imports nothing of the service."""
