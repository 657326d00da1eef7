"""Sending products: ETags, conditional requests and ranges (RFC 9110), streamed."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from app.api.error_handlers import error_response
from app.jobs.datasets.products import Download, ProductService

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII)


TO_BE_ASKED = "private, no-cache"
"""To be asked for every time, for a dataset can be deleted; the ETag makes that cheap."""

FOR_EVER = "private, max-age=31536000, immutable"
"""Of what never changes under its path; a year is the longest that caches are told."""


class Span(NamedTuple):
    """The bytes [start, stop) of something."""

    start: int
    stop: int


def parse_range(header: str, size: int) -> Span | Literal["none", "unsatisfiable"]:
    """What a Range header asks of something of this size; `none` where it is to be ignored.

    One range is served. Several at once, another unit and what is no range are ignored, as the RFC lets us.
    """
    match = _RANGE.fullmatch(header)
    if not match or match[1] == match[2] == "":
        return "none"
    first, last = match[1], match[2]
    if first == "":
        wanted = min(int(last), size)
        return Span(size - wanted, size) if wanted else "unsatisfiable"
    if last != "" and int(last) < int(first):
        return "none"
    if int(first) >= size:
        return "unsatisfiable"
    return Span(int(first), size if last == "" else min(int(last) + 1, size))


def prefers_html(accept: str) -> bool:
    """Whether an Accept header would rather have text/html than application/json; equal wishes are for JSON."""
    wishes = {"text/html": 0.0, "application/json": 0.0}
    closest = dict.fromkeys(wishes, -1)
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        for wish in wishes:
            # The more particular range wins, whatever its weight (RFC 9110, 12.5.1).
            ranges = ["*/*", f"{wish.partition('/')[0]}/*", wish]
            nearness = ranges.index(kind) if kind in ranges else -1
            if nearness > closest[wish]:
                closest[wish] = nearness
                wishes[wish] = float(weight) if re.fullmatch(r"[01](\.[0-9]{0,3})?", weight) else 0.0
    return wishes["text/html"] > wishes["application/json"]


def etag_listed(header: str, etag: str) -> bool:
    """Whether an If-None-Match header lists a quoted ETag, by weak comparison; `*` lists every one."""
    if header.strip() == "*":
        return True
    return etag in re.findall(r'"[^"]*"', header)


def send_product(
    request: Request,
    products: ProductService,
    product: Download,
    disposition: Literal["inline", "attachment"],
    *,
    cache_control: str = TO_BE_ASKED,
) -> Response:
    """Answer GET or HEAD for a product: 200, 206, 304 or 416."""
    etag = f'"{product.etag}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": cache_control,
    }
    if etag_listed(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'{disposition}; filename="{product.filename}"'
    span, status = Span(0, product.size), 200
    # Ranges are defined for GET only; and If-Range compares strongly, so a weak tag never matches.
    if request.method == "GET" and request.headers.get("if-range", etag).strip() == etag:
        asked = parse_range(request.headers.get("range", ""), product.size)
        if asked == "unsatisfiable":
            return error_response(
                request,
                416,
                "RangeNotSatisfiable",
                f"there are {product.size} bytes; ask for a range within them",
                {"Content-Range": f"bytes */{product.size}", "Accept-Ranges": "bytes", "ETag": etag},
            )
        if asked != "none":
            span, status = asked, 206
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{product.size}"
    headers["Content-Length"] = str(span.stop - span.start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=product.media_type)
    return StreamingResponse(
        _begun(products.read(product, span.start, span.stop)),
        status,
        headers,
        media_type=product.media_type,
    )


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk before anything is sent, so that a store that is down still becomes a 503."""
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from chunks

    return rest()
