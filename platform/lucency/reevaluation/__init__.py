"""What late labels say of a model in use: sensitivity over time, by version and by site."""
