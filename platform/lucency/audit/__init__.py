"""
What the service did and what was learned of it later: journals, prediction log, labels.

``logs/audit`` and ``logs/labels`` are journals (``journal.py``), ``logs/predictions`` is the same
story in columns (``predictions.py``). None holds pixels, file names, header text or names.
"""
