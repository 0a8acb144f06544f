"""JWTs, by PyJWT: one strict parser, one profile per kind of token, our keys and theirs."""
