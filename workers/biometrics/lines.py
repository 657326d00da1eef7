"""Lines of text out of chunks of bytes, of any size."""

from collections.abc import Iterable, Iterator

from workers.biometrics.errors import ScoresRefused

LONGEST = 65_536
"""Bytes; a file with longer lines is no score file, and must not fill the memory."""

TOO_LONG = f"longer than {LONGEST:,} bytes; is this a score file?"


class Lines:
    """Lines of text out of chunks of bytes, without their ends; remembers the number of the last."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.number = 0
        self._lines = self._split(chunks)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line

    def _split(self, chunks: Iterable[bytes]) -> Iterator[str]:
        left = b""
        first = True
        for chunk in chunks:
            left += chunk
            end = left.rfind(b"\n") + 1
            if not end:
                if len(left) > LONGEST:
                    raise ScoresRefused(TOO_LONG, self.number + 1)
                continue
            whole, left = left[:end], left[end:]
            if first:
                whole = whole.removeprefix(b"\xef\xbb\xbf")
                first = False
            try:
                text = whole.decode()
            except UnicodeDecodeError as exc:
                line = self.number + 1 + whole[: exc.start].count(b"\n")
                raise ScoresRefused("this is not UTF-8; save the file as UTF-8", line) from exc
            for line_text in text[:-1].split("\n"):
                if len(line_text) > LONGEST:
                    raise ScoresRefused(TOO_LONG, self.number + 1)
                yield line_text.removesuffix("\r")
        if left:
            raise ScoresRefused(
                "the file ends within this line: it may have been cut off; if it is whole, end it with a newline",
                self.number + 1,
            )
