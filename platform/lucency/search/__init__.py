"""Search for better settings: which trials go on, which stop, and why."""
