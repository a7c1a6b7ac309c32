"""The bundle: one folder that carries a model, its rules and its proof from training to serving."""
