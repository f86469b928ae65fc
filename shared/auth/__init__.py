"""Bearer tokens of callers: the issuers that the operator trusts, their keys, and the caller that a token names."""
