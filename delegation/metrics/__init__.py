"""What can be watched of the token service: counted by its workers, served beside them."""
