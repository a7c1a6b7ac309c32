"""Where films come from, and the one form they are stored in."""
