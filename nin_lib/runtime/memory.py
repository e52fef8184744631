"""Suggest a smaller batch size when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# The words of PyTorch's allocators (GPU; CPU on Linux and macOS, on Windows), of CUDA's libraries,
# and of TensorFlow. JAX says "out of memory" as well.
OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "not enough memory", "alloc_failed",
    "oom when allocating",
)  # fmt: skip


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that there was not enough memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error).lower() for words in OUT_OF_MEMORY)


@contextmanager
def memory_advice(batch_size: int) -> Iterator[None]:
    """Raise `MemoryError` with a smaller batch size to try if memory runs out in this context."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise MemoryError(advice(batch_size)) from error


def advice(batch_size: int) -> str:
    if batch_size == 1:
        return "there is not enough memory even for batch_size 1: use smaller images"
    return f"there is not enough memory for batch_size {batch_size}: try {batch_size // 2}"
