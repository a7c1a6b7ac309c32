"""Do today's films look like those the model was proven on?"""
