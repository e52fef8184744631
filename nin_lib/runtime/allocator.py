"""Let glibc's allocator keep freed memory, so that each step reuses warm pages.

Why: without it every training step pays for touching new pages, because glibc returns large blocks
to the system (594 against 445 images per second at class size). It can go when PyTorch reuses
CPU memory itself. Until then PyTorch's performance tuning guide suggests another allocator,
jemalloc or TCMalloc, for the same reason; this one needs no installation. Reference: mallopt(3).
"""

from __future__ import annotations

import ctypes
import sys

# glibc's mallopt: parameter numbers, the values a run sets, and glibc's own defaults.
# Large blocks come from the heap instead of fresh pages, and freed memory stays with the process;
# otherwise every step pays for touching new pages.
MALLOPT_KEEP = {-4: 0, -1: -1, -2: 256 * 2**20}  # M_MMAP_MAX, M_TRIM_THRESHOLD (never), M_TOP_PAD
MALLOPT_DEFAULT = {-4: 65_536, -1: 128 * 2**10, -2: 128 * 2**10}


def set_allocator(options: dict[int, int]) -> bool:
    """Call glibc's mallopt for each option; False, and nothing done, where there is none."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    done = [mallopt(option, value) == 1 for option, value in options.items()]
    return all(done)


def reset_allocator() -> None:
    """Put glibc's defaults back, and give the kept memory back to the system."""
    if set_allocator(MALLOPT_DEFAULT):
        ctypes.CDLL(None).malloc_trim(0)
