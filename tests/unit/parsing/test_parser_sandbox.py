"""What a confined process can still do: compute, and nothing else."""

import json
import subprocess
import sys

import pytest

# Runs in an interpreter of its own: confinement cannot be undone.
PROBE = """
import json, os, socket, sys
sys.path[:] = json.loads(sys.argv[1])
from gantry.studies.parsing.sandbox import address_space_bytes, confine, enclose
from pathlib import Path
secret = Path(sys.argv[2])
born = address_space_bytes()
enclose()
results, theirs = os.pipe()
zygote = os.getpid()
if os.fork() == 0:
    confine(address_space=born + (64 << 20), cpu_s=5, descriptors=16, parent=zygote)
    def attempt(act):
        try:
            act()
        except (OSError, MemoryError) as error:
            return type(error).__name__
        return "done"
    found = {
        "read a file": attempt(lambda: os.open(secret, os.O_RDONLY)),
        "write a file": attempt(lambda: os.open("/tmp/evil", os.O_WRONLY | os.O_CREAT)),
        "open a socket": attempt(lambda: socket.socket(socket.AF_INET)),
        "open a local socket": attempt(lambda: socket.socket(socket.AF_UNIX)),
        "fork": attempt(os.fork),
        "run a program": attempt(lambda: os.execv("/bin/true", ["true"])),
        "kill its parent": attempt(lambda: os.kill(zygote, 0)),
        "take 200 MiB": attempt(lambda: bytearray(200 << 20)),
        "raise its limits": attempt(lambda: __import__("resource").prlimit(0, 9, (1 << 40, 1 << 40))),
        "compute": attempt(lambda: sum(range(1000))),
    }
    os.write(theirs, json.dumps(found).encode())
    os._exit(0)
os.close(theirs)
os.wait()
print(os.read(results, 65536).decode())
"""


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    secret = tmp_path_factory.mktemp("vault") / "key"
    secret.write_text("secret")
    path = json.dumps([entry for entry in sys.path if entry])
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, path, str(secret)], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_computing_works_when_confined(attempts: dict[str, str]) -> None:
    assert attempts["compute"] == "done"


@pytest.mark.parametrize(
    "what",
    [
        "read a file",
        "write a file",
        "open a socket",
        "open a local socket",
        "fork",
        "run a program",
        "kill its parent",
        "take 200 MiB",
        "raise its limits",
    ],
)
def test_attempt_fails_when_confined(attempts: dict[str, str], what: str) -> None:
    assert attempts[what] in {"PermissionError", "MemoryError"}
