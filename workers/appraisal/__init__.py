"""What a model is worth: one table for every generator, judged by named networks, with intervals."""
