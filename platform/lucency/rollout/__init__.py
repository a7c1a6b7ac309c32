"""A challenger tried on a growing share of films, and the rule that ends the trial either way."""
