"""The HTTP layer: routes are shells around `app.jobs`; statuses, headers and bodies are decided here."""
