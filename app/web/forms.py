"""Forms as browsers send them without scripts: names and texts, each name once or several times."""

from urllib.parse import parse_qsl, urlencode

from fastapi import Request

from app.errors import RequestRefused, WrongMediaType

MOST_FIELDS = 200


class Form:
    """What was typed, in the order of the form; a name that is not there is an empty text."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __getitem__(self, name: str) -> str:
        return next((value for key, value in self.pairs if key == name), "")

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def all(self, name: str) -> list[str]:
        """Every value of a name."""
        return [value for key, value in self.pairs if key == name]

    def without(self, *names: str) -> "Form":
        """The form less some of its fields."""
        return Form([(key, value) for key, value in self.pairs if key not in names])

    @property
    def query(self) -> str:
        """The same as the query of a URL."""
        return urlencode(self.pairs)


def parse_form(text: str) -> Form:
    """Read `a=1&b=2`; raises RequestRefused for what no form of ours sends."""
    try:
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError as exc:
        raise RequestRefused([("body", "is not a form that this page sends; load the page again")]) from exc


async def read_form(request: Request) -> Form:
    """Read a posted form; raises WrongMediaType and RequestRefused."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/x-www-form-urlencoded":
        raise WrongMediaType("pages take forms as application/x-www-form-urlencoded")
    try:
        return parse_form((await request.body()).decode("ascii"))
    except UnicodeDecodeError as exc:
        raise RequestRefused([("body", "is not a form that this page sends; load the page again")]) from exc
