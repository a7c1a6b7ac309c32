"""What can be wrong with a film, one function each."""
