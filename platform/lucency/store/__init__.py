"""Which model is in force: versions, aliases, and the gate before them."""
