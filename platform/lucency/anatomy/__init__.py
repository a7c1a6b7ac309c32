"""What a network is made of and what each of its units can see; works on any ``nn.Module``."""
