"""What a file is by its first bytes, never by its name."""

from workers.generator.reading import archive, legacy, npy
from workers.generator.reading.refusals import FileRefused

PICKLE, ARCHIVE, LEGACY, NPY, SAFETENSORS = "pickle", "archive", "legacy", "npy", "safetensors"


def kind_of_file(data: memoryview) -> str:
    """One of the kinds that are read; raises FileRefused for all else, and says what it seems to be."""
    if not len(data):
        raise FileRefused("empty file")
    start = bytes(data[:512])
    for signature, what in _OTHERS:
        if start.startswith(signature):
            raise FileRefused(what, 0)
    if start[257:262] == b"ustar" or (len(data) >= 512 and len(data) % 512 == 0 and _tar_header(start)):
        raise FileRefused("tar archive, not a checkpoint (torch's form of 2016, or an unpacked download)", 0)
    if b"<html" in start.lower() or start.lstrip().lower().startswith(b"<!doctype"):
        raise FileRefused("HTML page, not a checkpoint; download it again", 0)
    if start.startswith(archive.LOCAL):
        return ARCHIVE
    if start.startswith(npy.MAGIC):
        return NPY
    if start.startswith(legacy.SIGNATURE):
        return LEGACY
    if len(data) > 9 and start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= len(data) - 8:
        return SAFETENSORS
    if start[0] == 0x80 or (start[:1] in _TEXT_PICKLES and data[-1] == ord(".")):
        return PICKLE
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        raise FileRefused("plain text, not a checkpoint", 0)
    raise FileRefused("not a checkpoint of any kind that is read here", 0)


_TEXT_PICKLES = tuple(bytes([sign]) for sign in b"c(IKLSVFNGUXP]})l0")
"""What a pickle of protocol 0 or 1 begins with, and some that try to look like one."""


def _tar_header(start: bytes) -> bool:
    """Whether a block's checksum is a tar header's."""
    try:
        said = int(start[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return said == sum(start[:148]) + 8 * 32 + sum(start[156:512])


_OTHERS = (
    (b"\x1f\x8b", "gzip, not a checkpoint; it is not inflated here: unpack it first, and look at its size"),
    (b"BZh", "bzip2, not a checkpoint; unpack it first"),
    (b"\xfd7zXZ\0", "xz, not a checkpoint; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "Zstandard, not a checkpoint; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive, not a checkpoint; unpack it first"),
    (b"Rar!", "RAR archive, not a checkpoint; unpack it first"),
    (b"version https://git-lfs", "Git LFS pointer; run `git lfs pull`"),
    (b"\x89HDF", "HDF5 file: Keras and h5py are not read"),
    (b"PK\x05\x06", "empty archive: no data.pkl"),
    (b"\x89PNG", "PNG image, not a checkpoint"),
    (b"\xff\xd8\xff", "JPEG image, not a checkpoint"),
    (b"%PDF", "PDF, not a checkpoint"),
    (b"\x08\x07", "ONNX file: graphs are not read, only weights of the families named in the guide"),
    (b"-----BEGIN PGP", "encrypted file (PGP); decrypt it first"),
    (b"age-encryption.org", "encrypted file (age); decrypt it first"),
    (b"Salted__", "encrypted file (OpenSSL); decrypt it first"),
)
