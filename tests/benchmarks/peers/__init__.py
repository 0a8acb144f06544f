"""Others side by side: set up by scripts of ours that install published packages."""
