"""The registry: reviewed YAML files, read strictly into values of the domain."""
