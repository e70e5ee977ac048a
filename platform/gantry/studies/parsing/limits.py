"""What one file from outside may cost."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Bounds on a file and on the process that parses it.

    The defaults admit every object a hospital sends except a deflated one that inflates beyond 64 MiB.
    """

    max_file_bytes: int = 2048 * MIB
    max_inflated_bytes: int = 64 * MIB
    max_inflate_ratio: int = 100
    free_inflated_bytes: int = 1 * MIB
    """The ratio is not looked at below this: a small black image deflates better than 100:1."""
    max_depth: int = 64
    """Sequences inside sequences. pydicom's own reader fails somewhat below 200."""
    max_elements: int = 2_000_000
    """Elements, items and fragments together, nested ones included."""
    max_frame_positions: int = 1024
    """Frames of an enhanced object whose positions are reported one by one."""
    memory_bytes: int = 256 * MIB
    """Address space a child may add to what it was born with, beyond the file it reads."""
    cpu_s_per_file: int = 10
    wall_s_per_file: float = 15.0
    wall_s_per_batch: float = 90.0
    max_result_bytes: int = 1 * MIB
