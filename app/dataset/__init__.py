"""The pure domain: request, model card, plan, streams, shards, comparisons, manifest. No input or output here."""
