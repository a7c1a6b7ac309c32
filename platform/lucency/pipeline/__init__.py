"""The stages of a model's life, one function a job: a configuration in, plain figures out."""
