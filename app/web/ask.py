"""Asking the public API, in this process: what a page shows is what anybody with the same key is answered."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
from fastapi import Request

from app.numerals import is_count
from app.sessions import COOKIE, CSRF_HEADER, Session


class Problem(NamedTuple):
    """What is wrong with one field."""

    field: str
    """Dotted path in the request; empty where it is about no field."""
    text: str
    """What is wrong, and what to do."""


class ApiProblem(Exception):
    """The API refused, or could not answer."""

    def __init__(
        self,
        status: int,
        error: str,
        detail: str,
        *,
        retry_after_s: int | None = None,
        problems: list[Problem] | None = None,
    ) -> None:
        self.status = status
        self.error = error
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.problems = problems or [Problem("", detail)]
        """Field by field; one about none where the API names none."""
        super().__init__(f"{status} {error}: {detail}")


class Api:
    """The API as the signed-in session sees it."""

    def __init__(self, request: Request, session: Session) -> None:
        self.session = session
        self._request = request
        self._headers = {
            "cookie": f"{COOKIE}={request.cookies.get(COOKIE, '')}",
            # Our own page's forms were checked before this is made; see `app.web.pages`.
            CSRF_HEADER: session.csrf,
            "x-request-id": str(getattr(request.state, "request_id", "")),
        }

    async def get(self, path: str, **params: Any) -> Any:
        """JSON of a path; parameters that are None or empty are left out. Raises ApiProblem."""
        given = {name: value for name, value in params.items() if value not in (None, "")}
        return (await self.send("GET", path, params=given)).json()

    async def maybe(self, path: str, **params: Any) -> Any:
        """The same, None where there is no such thing, or not any more, or not yet."""
        try:
            return await self.get(path, **params)
        except ApiProblem as exc:
            if exc.status in (404, 409, 410):
                return None
            raise

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """JSON that answers a POST of JSON. Raises ApiProblem."""
        return (await self.send("POST", path, body=body, headers=headers)).json()

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask; raises ApiProblem for whatever is no success."""
        transport = httpx.ASGITransport(app=self._request.app)
        async with httpx.AsyncClient(transport=transport, base_url=str(self._request.base_url)) as client:
            answer = await client.request(
                method, path, params=params, json=body, headers={**self._headers, **(headers or {})}
            )
        if answer.is_success:
            return answer
        raise _problem(answer)


def _problem(answer: httpx.Response) -> ApiProblem:
    try:
        found = answer.json()
        error, detail = str(found["error"]), str(found["detail"])
        problems = [
            Problem(item["field"], "; ".join(filter(None, (item["problem"], item["fix"]))))
            for item in found.get("problems", [])
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        error, detail, problems = "InternalError", f"the service answered {answer.status_code}", []
    after = answer.headers.get("retry-after", "")
    return ApiProblem(
        answer.status_code,
        error,
        detail,
        retry_after_s=int(after) if is_count(after) else None,
        problems=problems,
    )
