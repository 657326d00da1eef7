"""The documents that tell about a set, for people and machines that have never heard of Facsimile."""

from enum import Enum


class Document(Enum):
    """One document: its file's name, media type, and what it is called in a sentence."""

    DATA_CARD = ("data-card.md", "text/markdown; charset=utf-8", "data card")
    PROVENANCE = ("provenance.jsonld", "application/ld+json", "provenance record")
    CROISSANT = ("croissant.json", "application/ld+json", "Croissant file")

    def __init__(self, filename: str, media_type: str, label: str) -> None:
        self.filename = filename
        self.media_type = media_type
        self.label = label
