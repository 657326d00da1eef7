"""Reading of other people's checkpoints: bytes to plain arrays and facts. No unpickler, no torch, no code of theirs.

The way of a file: `kinds` says what it is by its content, `interpreter` turns a pickle into inert `nodes` (with
`calls` as the only meaning that a name can have), `storages`, `legacy`, `archive`, `arrays` check where numbers lie,
`contents` picks networks out, and `apart` does all of it in a child process with limits. Whatever is not known is
refused with its place in the file; there is no second way round.
"""
