"""Licences as SPDX expressions. https://spdx.org/licenses/"""

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

OWN_TERMS = "LicenseRef-Model-Card"
"""SPDX's way to say: no licence of its list, read the terms."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")


def spdx(licence: str) -> str:
    """The licence of a model card as an SPDX expression; `LicenseRef-Model-Card` where it says something else."""
    try:
        return canonicalize_license_expression(licence)
    except InvalidLicenseExpression:
        return OWN_TERMS


def licence_urls(expression: str) -> list[str]:
    """Where the licences named in an expression are to be read; none for terms that SPDX does not list."""
    words = (word for word in _IDENTIFIER.findall(expression) if word not in ("AND", "OR", "WITH"))
    return [f"https://spdx.org/licenses/{word.removesuffix('+')}.html" for word in words if "LicenseRef-" not in word]
