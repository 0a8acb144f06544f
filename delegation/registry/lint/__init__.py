"""What is wrong with the files of a registry, and what is allowed but not as it was meant."""
