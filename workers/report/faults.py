"""What is known beforehand of each method to make mated images of one identity, for pages that compare them.

From the papers that proposed and compared them: Shen 2020 (InterFaceGAN), Marriott 2020 (IVI-GAN; SD-GAN with triplet
loss, IJCB, arXiv 2012.10553), Donahue 2018 (SD-GAN).
"""

from collections.abc import Mapping

from app.dataset.model import ModelCard

EDITING = (
    "Mated images are edits of one image (InterFaceGAN): they change the identity or spoil the image the farther they "
    "go, so ranges are measured, and C_intra is told by direction.",
    "Boundaries are linear and entangled: glasses drag age along, pose drags light.",
)
PAIRS = (
    "Identity and observation were told apart by training on pairs, and never wholly: a little of who it is changes "
    "with the observation.",
    "Non-mated scores run higher than those of real people.",
)

BY_KIND: Mapping[str, tuple[str, ...]] = {
    "progan": EDITING,
    "stylegan1": EDITING,
    "stylegan2": EDITING,
    "stylegan3": EDITING,
    "sdgan": PAIRS,
    "sdbegan": (*PAIRS, "Trained on MS-Celeb-1M, which its publisher has withdrawn."),
    "parametric": (
        "A drawing by rules: faces differ as far as the rules let them, and look drawn.",
        "Non-mated scores run higher than those of real people.",
    ),
}

BY_TRAINING: Mapping[str, tuple[str, ...]] = {
    "sdgan+triplet": ("A matcher had a say in training: its own scores on these images are too good.",),
    "ivigan": ("Only labelled factors vary one by one; what no label names stays with the identity or is lost.",),
}


def faults_of(kind: str, training: str | None = None) -> tuple[str, ...]:
    """Known faults of a model of this family, trained by this method where it says so; nothing for photographs."""
    return (*BY_KIND.get(kind, ()), *BY_TRAINING.get(training or "", ()))


def method_of(card: ModelCard) -> str | None:
    """The method that a model was trained by, where its card says so."""
    training = (card.model_extra or {}).get("training") or {}
    method = (training.get("settings") or {}).get("method")
    return method if isinstance(method, str) else None


def attributes_seen(card: ModelCard) -> tuple[str, ...]:
    """How often a scorer agreed with attributes that it gave to a model, a sentence each."""
    told = []
    for name, attribute in card.attributes.items():
        seen = (attribute.model_extra or {}).get("measured")
        if isinstance(seen, dict) and "as_asked_above" in seen:
            told.append(
                f"{name}: of {seen['drawn']} draws conditioned on it, the scorer that it was fitted to agrees in "
                f"{seen['as_asked_above']:.1%} on the one side and {seen['as_asked_below']:.1%} on the other."
            )
    return tuple(told)
