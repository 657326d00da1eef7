"""Where a set comes from, and what says so: watermark and C2PA in every sample; Croissant, PROV-O and a card beside."""
