"""Numbers in texts: plain ASCII digits, as every reader writes them.

Python reads more than that: 1_0 is its 10, and so are digits of a dozen scripts. Whoever writes such a thing meant
something else, or was misled; it is refused wherever a text becomes a number.
"""

import re
from typing import get_args

from pydantic import BaseModel, ValidationInfo, field_validator

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
"""A number in decimal digits, with or without a point and an exponent."""

_NUMBER = re.compile(NUMBER)
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")


def is_number(text: str) -> bool:
    """Whether a text is a number in plain digits."""
    return _NUMBER.fullmatch(text) is not None


def is_count(text: str) -> bool:
    """Whether a text is a whole number, 0 or more, in plain digits."""
    return text.isascii() and text.isdigit()


def number(text: str) -> float:
    """The number that a text is; raises ValueError."""
    if not is_number(text):
        raise ValueError(f"{text!r} is no number in plain digits")
    return float(text)


def whole(text: str) -> int:
    """The whole number that a text is; raises ValueError."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no whole number in plain digits")
    return int(text)


class PlainNumbers(BaseModel):
    """A model whose numbers may come as texts (an environment, a query): in plain digits, or refused."""

    @field_validator("*", mode="before")
    @classmethod
    def _in_plain_digits(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            kinds = {annotation, *get_args(annotation)}
            if kinds & {int, float} and str not in kinds and not is_number(value.strip()):
                raise ValueError(f"{value[:40]!r} is no number in plain digits")
        return value
