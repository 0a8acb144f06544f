"""What was exchanged, used and stopped, in Redis: the only state that workers share."""
