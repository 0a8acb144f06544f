"""The admin API: what was exchanged, what is stopped, and how the service is. Served by itself."""
