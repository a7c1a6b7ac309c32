"""Lucency: from chest films to a served, watched and gated classifier, on Ray."""

__version__ = "0.1.0"
