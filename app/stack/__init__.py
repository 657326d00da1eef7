"""The embedded stack: real valkey, real SeaweedFS, a worker and the API as child processes on loopback."""

from app.stack.embedded import EmbeddedStack as EmbeddedStack
from app.stack.errors import StackError as StackError
from app.stack.errors import StackInterrupted as StackInterrupted
