"""HTTP: forms come in, JSON goes out; what is decided in between is the domain's."""
