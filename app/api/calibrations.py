"""Calibrations: which scale gives a model's sets a difficulty."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.bodies import Posted, posted
from app.api.deps import CalibrationId, Serving, Tenant
from app.api.openapi import errors, headers, json_body
from app.dataset.calibration import CalibrationRequest
from app.jobs.calibrations.service import CalibrationJob

router = APIRouter(tags=["calibrations"])

RETRY_AFTER_S = 5

_RUNS = {
    "model": CalibrationJob,
    "description": "It is being made; look again at `Location`.",
    "headers": headers(Location="Where it will be.", Retry_After="Seconds until it is worth looking."),
}
_THERE = {"description": "The answer, or why there is none (`failure`).", "headers": headers(Location="Its path.")}


@router.post(
    "/v1/calibrations",
    summary="Ask which scale meets a target",
    responses={200: _THERE, 202: _RUNS, **errors(413, 415, 422)},
    openapi_extra=json_body(CalibrationRequest),
)
def ask_calibration(
    tenant: Tenant,
    asked: Annotated[Posted[CalibrationRequest], Depends(posted(CalibrationRequest))],
    services: Serving,
    response: Response,
) -> CalibrationJob:
    """A calibration belongs to the model, not to who asks: the same question has the same answer, made once.

    Its subjects are the calibration's own; a dataset with a target is calibrated once more, on its own subjects.
    Questions that differ in their target alone share what was measured. One that failed or was cancelled
    begins again.
    """
    return _answer(services.calibrations.ask(tenant, asked.value, asked.document), response)


@router.post(
    "/v1/calibrations/{calibration_id}/cancel",
    summary="Cancel a calibration",
    responses={
        200: {**_THERE, "description": "It is cancelled."},
        202: {**_RUNS, "description": "It goes on, for others who asked for it, too."},
        **errors(404, 409),
    },
)
def cancel_calibration(
    tenant: Tenant, calibration_id: CalibrationId, services: Serving, response: Response
) -> CalibrationJob:
    """Within two seconds no new batch starts, unless others asked the same. Asked for again it begins again.

    Again does no harm; what has ended otherwise, or what only others asked for, gives 409.
    """
    return _answer(services.calibrations.cancel(tenant, calibration_id), response)


@router.get(
    "/v1/calibrations/{calibration_id}",
    summary="Look at a calibration",
    responses={200: _THERE, 202: _RUNS, **errors(404)},
)
def get_calibration(_: Tenant, calibration_id: CalibrationId, services: Serving, response: Response) -> CalibrationJob:
    """202 while it is being made; then the scale, the curve with its intervals, and what is reachable."""
    return _answer(services.calibrations.get(calibration_id), response)


def _answer(job: CalibrationJob, response: Response) -> CalibrationJob:
    response.headers["Location"] = f"/v1/calibrations/{job.id}"
    if not job.state.final:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return job
