"""How an image came about, in the words of the IPTC: by a model that learned from examples, or by one that did not.

Source: https://cv.iptc.org/newscodes/digitalsourcetype/
"""

from typing import Literal

SourceType = Literal["trainedAlgorithmicMedia", "algorithmicMedia"]
"""Made by a model that was trained on content, or purely by an algorithm that was trained on nothing."""


def source_type_uri(term: SourceType) -> str:
    """The term as metadata has it."""
    return f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"


def read_source_type(uri: str) -> SourceType:
    """The term that a manifest names; what is unknown counts as trained, as every set of before says."""
    return "algorithmicMedia" if uri == source_type_uri("algorithmicMedia") else "trainedAlgorithmicMedia"
