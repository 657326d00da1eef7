"""Previews: a contact sheet made at once, nothing else stored."""

from app.dataset.plan import FinalPlan
from workers.generator.base import Generator
from workers.images import contact_sheet, encode_sheet
from workers.pipeline.generate import Draw, check_model, generate_samples


def make_preview(plan: FinalPlan, generator: Generator, row: int | None = None) -> bytes:
    """Generate every sample of a small plan and lay them out, a row a subject, or one of the rows; returns PNG."""
    check_model(plan, generator.card)
    rows = []
    for subject in range(plan.subjects) if row is None else (row,):
        draws = [
            Draw(plan.place(subject * plan.samples_per_subject + k), 0, 0) for k in range(plan.samples_per_subject)
        ]
        pixels, _, _ = generate_samples(plan, generator, draws)
        rows.append(list(pixels))
    sheet = contact_sheet(rows, max(plan.image.width, plan.image.height))
    return encode_sheet(sheet, generator.card.source_type)
