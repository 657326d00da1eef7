"""Webhooks: telling a tenant's own server that something has ended."""
