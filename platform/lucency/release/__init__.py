"""What goes out with a model: the evidence pack, its bill of materials, and the checklist."""
