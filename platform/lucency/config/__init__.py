"""What a YAML file may say. Nothing is imported here: a replica must not load a trainer's types."""
