"""The process that has imported everything and forks a confined child for each batch; see `pool`.

It never reads a byte of a file itself. Messages on its control socket, one at a time: a batch comes as ``B``
with descriptors (result pipe, files…); ``K`` kills the child that runs; the child's wait status goes back as
four bytes once it is gone. End of file ends this process.
"""

import codecs
import gc
import json
import mmap
import os
import select
import signal
import socket
import struct

from pydicom import charset

from gantry.studies.parsing.codec import to_json
from gantry.studies.parsing.header import parse
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.model import Rejection
from gantry.studies.parsing.rejections import SENTENCES
from gantry.studies.parsing.sandbox import address_space_bytes, confine, enclose

MAX_BATCH_FILES = 200
FRAME = struct.Struct("!I")
STATUS = struct.Struct("!i")

# A Secondary Capture with nothing in it: parsing it once makes every lazy import happen before files arrive.
_WARM_UP = (
    bytes(128)
    + b"DICM\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
    + b"\x08\0\x05\0CS\x0a\0ISO_IR 192\x08\0\x16\0UI\x04\x001.2\0\x08\0\x18\0UI\x04\x001.2\0"
    + b"\x10\0\x10\0PN\x06\0\xe5\xb1\xb1^a \x20\0\x0d\0UI\x04\x001.2\0\x20\0\x0e\0UI\x04\x001.2\0"
)


def main(control_fd: int, limits: ParserLimits) -> None:
    """Import, close the doors, say hello, and serve until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for encoding in set(charset.python_encoding.values()):
        codecs.lookup(encoding)
    to_json(parse(memoryview(_WARM_UP), limits))
    born_bytes = address_space_bytes()
    network, user = enclose()
    os.closerange(control_fd + 1, 256)
    with socket.socket(fileno=control_fd) as control:
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.close(nothing)
        gc.collect()
        gc.freeze()
        control.send(json.dumps({"network": network, "user": user}).encode())
        _serve(control, limits, born_bytes)


def _serve(control: socket.socket, limits: ParserLimits, born_bytes: int) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, MAX_BATCH_FILES + 1)
        if not message:
            return
        if not descriptors:
            continue  # a K that came too late
        child, alive = _fork(control, descriptors, limits, born_bytes)
        for descriptor in descriptors:
            os.close(descriptor)
        # Either the child has closed its end of the pipe, or the other side wants it dead, or is gone.
        select.select([alive, control.fileno()], [], [])
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(alive)
        control.send(STATUS.pack(status))


def _fork(control: socket.socket, descriptors: list[int], limits: ParserLimits, born_bytes: int) -> tuple[int, int]:
    """Return the child's process id and a pipe that ends when it does."""
    alive, kept_by_child = os.pipe()
    zygote = os.getpid()
    child = os.fork()
    if child:
        os.close(kept_by_child)
        return child, alive
    try:
        os.close(alive)
        control.close()
        gc.disable()
        _work(descriptors, limits, born_bytes, parent=zygote, highest=max(kept_by_child, *descriptors))
        os._exit(0)
    finally:
        os._exit(1)


def _work(descriptors: list[int], limits: ParserLimits, born_bytes: int, *, parent: int, highest: int) -> None:
    results, *files = descriptors
    sizes = [os.fstat(file).st_size for file in files]
    is_filtered = confine(
        address_space=born_bytes + limits.memory_bytes + max(sizes),
        cpu_s=limits.cpu_s_per_file + len(files) // 20,
        descriptors=highest + 1,
        parent=parent,
    )
    os.write(results, b"\1" if is_filtered else b"\0")
    for file, size in zip(files, sizes, strict=True):
        outcome, is_sound = _parse_file(file, size, limits)
        view = memoryview(FRAME.pack(len(outcome)) + outcome)
        while view:
            view = view[os.write(results, view) :]
        if not is_sound:
            return  # the rest deserves a process that nothing has happened to
        os.close(file)


def _parse_file(file: int, size: int, limits: ParserLimits) -> tuple[bytes, bool]:
    """Return the outcome as JSON, and whether this process is as good as before."""
    if size == 0:
        return to_json(parse(memoryview(b""), limits)), True
    mapped = mmap.mmap(file, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    try:
        outcome = parse(memoryview(mapped), limits)
        is_sound = not isinstance(outcome, Rejection) or outcome.code != "dicom.parser_memory"
        result = to_json(outcome)
        mapped.close()
    except BufferError:  # something still looks at the file
        return result, False
    except Exception:  # noqa: BLE001 - a fault of ours that these bytes found: this file's, not its neighbours'
        return to_json(Rejection("dicom.parser_crashed", SENTENCES["dicom.parser_crashed"])), False
    return result, is_sound
