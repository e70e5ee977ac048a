"""What a parsing process takes from itself before it looks at bytes from outside (Linux)."""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_NOBODY = 65534

# What CPython needs to compute, to map a file it was given and to write to a pipe; not open, socket,
# clone, execve, kill, ptrace, prctl. Numbers: Linux's syscall_64.tbl and asm-generic/unistd.h.
_X86_64 = (
    *(0, 1, 3, 5, 7, 8),  # read write close fstat poll lseek
    *(9, 10, 11, 12, 25, 28),  # mmap mprotect munmap brk mremap madvise
    *(
        13,
        14,
        15,
        131,
        202,
        219,
    ),  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack futex restart_syscall
    *(17, 32, 72, 262),  # pread64 dup fcntl newfstatat
    *(39, 60, 98, 186, 231),  # getpid exit getrusage gettid exit_group
    *(228, 230, 318),  # clock_gettime clock_nanosleep getrandom
)
_AARCH64 = (
    *(63, 64, 57, 80, 62),  # read write close fstat lseek
    *(222, 226, 215, 214, 216, 233),  # mmap mprotect munmap brk mremap madvise
    *(
        134,
        135,
        139,
        132,
        98,
        128,
    ),  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack futex restart_syscall
    *(67, 23, 25, 79),  # pread64 dup fcntl newfstatat
    *(172, 93, 165, 178, 94),  # getpid exit getrusage gettid exit_group
    *(113, 115, 278),  # clock_gettime clock_nanosleep getrandom
)
_ALLOWED = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}


@dataclass(frozen=True, slots=True)
class Confinement:
    """Which walls stand on this machine; resource limits always do."""

    system_calls: bool
    """A seccomp filter is in force: no files, sockets, processes."""
    network: bool
    """The process has a network namespace of its own, with nothing in it."""
    user: bool
    """The process is nobody rather than the server's user."""


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


_libc = ctypes.CDLL(None, use_errno=True)


def enclose() -> tuple[bool, bool]:
    """Leave network and identity behind; for the process that forks parsers, once, after its imports.

    Returns
    -------
    tuple of bool
        Whether the network is gone, and whether the process is nobody now.
    """
    is_root = os.geteuid() == 0
    flags = _CLONE_NEWNET | _CLONE_NEWIPC
    has_left_network = _libc.unshare(flags if is_root else flags | _CLONE_NEWUSER) == 0
    if is_root:
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except OSError:
            return has_left_network, False
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return has_left_network, is_root


def address_space_bytes() -> int:
    """Return how much address space this process has now."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def confine(*, address_space: int, cpu_s: int, descriptors: int, parent: int) -> bool:
    """Give up everything but computing; for a forked parser, before its first byte. There is no way back.

    Parameters
    ----------
    address_space : int
        Bytes, in all.
    cpu_s : int
        Processor seconds; the process is killed by SIGXCPU at this, by SIGKILL one later.
    descriptors : int
        Highest descriptor in use, plus one.
    parent : int
        The process that forked this one: its end is this one's too.

    Returns
    -------
    bool
        Whether the system call filter is in force.
    """
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for kind, soft, hard in (
        (resource.RLIMIT_AS, address_space, address_space),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
        (
            resource.RLIMIT_NOFILE,
            descriptors + 2,
            descriptors + 2,
        ),  # mapping a file duplicates its descriptor
    ):
        resource.setrlimit(kind, (soft, hard))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return _filter_system_calls()


def _filter_system_calls() -> bool:
    architecture, allowed = _ALLOWED.get(platform.machine(), (0, ()))
    if not allowed:
        return False
    instructions = seccomp_program(architecture, allowed)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Filter(len(instructions) // 8, ctypes.addressof(buffer))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def seccomp_program(architecture: int, allowed: tuple[int, ...]) -> bytes:
    """Write the BPF program: another architecture is killed, a listed call runs, any other gets EPERM.

    Each instruction is (code, jump if true, jump if false, operand); see ``linux/filter.h``.
    """
    load, equal, give = 0x20, 0x15, 0x06
    kill, permit, refuse = 0x80000000, 0x7FFF0000, 0x00050000 | 1
    lines = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, 0)]
    lines += [(equal, len(allowed) - place, 0, number) for place, number in enumerate(allowed)]
    lines += [(give, 0, 0, refuse), (give, 0, 0, permit)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
