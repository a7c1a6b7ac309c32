"""Training on Ray Train: the data feed, the loop, checkpoints, and the run they make."""
