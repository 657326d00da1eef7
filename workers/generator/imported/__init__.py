"""What imported networks share: layers, the generator, the import, the card. The rest is in each family's."""
