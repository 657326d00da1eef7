"""The training corpus: labelled renders of heads that nobody has, and the folder that holds them."""
