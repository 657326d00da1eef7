"""From a plan to stored samples: generate → check → store, shard by shard; then assemble."""
