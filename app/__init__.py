"""The nouns of Facsimile: request, plan, shard, manifest; and the services that speak about them."""
