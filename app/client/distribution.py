"""Which of our two distributions this code came with.

The same files make both: as `app` they are part of the service's distribution, facsimile-faces; as `facsimile_client`
they are the client's own, facsimile-faces-client, which fits beside a project's package `app` (see deploy/client).
"""

SERVICE = __name__.partition(".")[0] == "app"

NAME = "facsimile-faces" if SERVICE else "facsimile-faces-client"

COMMANDS = "facsimile.commands" if SERVICE else "facsimile_client.commands"
"""Entry points that add commands."""

VERIFIERS = "facsimile.verifiers" if SERVICE else "facsimile_client.verifiers"
"""Entry points that read images."""


def how_to_get(extra: str) -> str:
    """What to install for something that is missing; `extra` is the client's that brings it, if any does."""
    if SERVICE:
        return "run deploy/setup.sh of the checkout, which installs what workers need"
    if not extra:
        return "it comes with the service's distribution, facsimile-faces: run deploy/setup.sh of its checkout"
    return f"install {NAME} with its extra '{extra}', from the checkout: pip install './deploy/client[{extra}]'"
