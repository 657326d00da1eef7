"""Moving a generator's latents: boundaries and directions, edits along them, and what z_O means by them."""
