"""Architectures: one file each, all in one family."""
