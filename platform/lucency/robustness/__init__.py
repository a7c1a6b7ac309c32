"""How a model holds up when films are made worse, and what it knows without seeing the lungs."""
