"""Generating: places of a plan → latents → pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.dataset.model import ModelCard, attribute_value
from app.dataset.plan import FinalPlan, Place, Plan
from app.dataset.shard import AttributeValue
from app.errors import Misconfigured
from workers.generator.base import APART_BLOCK, Generator, Latents, Repelling, Truncating
from workers.generator.draw import draw_identity, draw_observation, sigma_vector
from workers.images import Pixels, to_pixels


class WrongModel(Misconfigured):
    """The plan was made for another model than the one that runs here."""


class Draw(NamedTuple):
    """One sample to generate, and which draw of its identity and observation."""

    place: Place
    identity_attempt: int
    attempt: int


def check_model(plan: Plan, card: ModelCard) -> None:
    """Raise WrongModel unless the card is the one that the plan is pinned to."""
    if not card.is_pinned_by(plan.model.digest):
        raise WrongModel(
            f"the dataset was planned with {plan.model.name} {plan.model.version} ({plan.model.digest[:12]}) and this "
            f"worker has {card.name} {card.version} ({card.digest[:12]}); request it anew, or run the old version"
        )


def as_planned(plan: Plan, generator: Generator) -> Generator:
    """The generator with the plan's ψ; raises Misconfigured if the model here does not truncate."""
    if plan.truncation is None or plan.truncation == generator.card.default_truncation:
        return generator
    if not isinstance(generator, Truncating):
        raise Misconfigured(f"the plan truncates its identities, and model {generator.card.name!r} does not")
    return generator.truncated(plan.truncation)


def draw_identities(plan: Plan, generator: Generator, subjects: Sequence[int], attempts: Sequence[int]) -> Latents:
    """z_I [N, d_I] of subjects at their attempts; moved apart from their neighbours where the model does that."""
    size = generator.card.latent.identity
    if not (isinstance(generator, Repelling) and generator.repels):
        return np.stack(
            [
                draw_identity(plan.seed, subject, attempt, size, plan.quantiles(subject))
                for subject, attempt in zip(subjects, attempts, strict=True)
            ]
        )
    blocks: dict[tuple[int, int], Latents] = {}
    rows = []
    for subject, attempt in zip(subjects, attempts, strict=True):
        number, place = divmod(subject, APART_BLOCK)
        if (number, attempt) not in blocks:
            blocks[number, attempt] = generator.apart(_whole_block(plan, number, attempt, size))
        rows.append(blocks[number, attempt][place])
    return np.stack(rows)


def _whole_block(plan: Plan, number: int, attempt: int, size: int) -> Latents:
    """z_I [APART_BLOCK, d_I] of a block as drawn, whether or not the set has all of its subjects."""
    return np.stack(
        [
            draw_identity(
                plan.seed, subject, attempt, size, plan.quantiles(subject) if subject < plan.identities else {}
            )
            for subject in range(number * APART_BLOCK, (number + 1) * APART_BLOCK)
        ]
    )


def draw_latents(plan: FinalPlan, generator: Generator, draws: Sequence[Draw]) -> tuple[Latents, Latents]:
    """z_I [N, d_I] and z_O [N, d_O], σ included, of N draws."""
    card = generator.card
    sigma = sigma_vector(card.latent.observation, plan.sigma)
    identities = draw_identities(plan, generator, [d.place.subject for d in draws], [d.identity_attempt for d in draws])
    observations = [
        draw_observation(plan.seed, d.place.subject, d.place.sample, d.attempt, sigma, plan.maps, plan.shows(d.place))
        for d in draws
    ]
    return identities, np.stack(observations)


def generate_samples(plan: FinalPlan, generator: Generator, draws: Sequence[Draw]) -> tuple[Pixels, Latents, Latents]:
    """Pixels uint8 [N, H, W, 3] of N draws, their z_I [N, d_I] and z_O [N, d_O]."""
    identity, observation = draw_latents(plan, generator, draws)
    images = as_planned(plan, generator).generate(identity, observation, plan.image.width, plan.image.height)
    return to_pixels(images), identity, observation


def generate_portraits(plan: Plan, generator: Generator, subjects: Sequence[int], attempts: Sequence[int]) -> Pixels:
    """Neutral portraits (z_O = 0) of identities, uint8 [N, H, W, 3], at the plan's size."""
    card = generator.card
    identity = draw_identities(plan, generator, subjects, attempts)
    still = np.zeros((len(identity), card.latent.observation_size), np.float32)
    return to_pixels(as_planned(plan, generator).generate(identity, still, plan.image.width, plan.image.height))


def attributes_of(card: ModelCard, identity: Latents) -> dict[str, AttributeValue]:
    """What the card's attributes and scales are for one z_I [d_I]; numbers to a tenth."""
    values = {
        name: attribute_value(attribute, float(identity[attribute.latent])) for name, attribute in card.labels.items()
    }
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in values.items()}
