"""What delegation is: parties, tokens, grants, locks, the one rule, the exchange. Stdlib only."""
