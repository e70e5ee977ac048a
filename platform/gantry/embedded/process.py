"""Starting one process so that it cannot outlive its supervisor, and finding what did."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gantry.embedded.detect import find_program
from gantry.embedded.state import EmbeddedError


@dataclass(frozen=True)
class Account:
    """The account that runs a server which refuses to run as root."""

    name: str
    uid: int
    gid: int
    needs_override: bool = False
    """It cannot pass through the parent folders, and keeps CAP_DAC_OVERRIDE for that."""


def unprivileged_account(home: Path, *programs: Path) -> Account | None:
    """Choose the account for a server with its files in ``home``; None means the current one.

    Raises
    ------
    EmbeddedError
        We are root, and the account can neither reach the files nor keep the capability to.
    """
    if os.getuid() != 0:
        return None
    owner = home.stat().st_uid if home.exists() else 0
    entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    plain = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    able = Account(entry.pw_name, entry.pw_uid, entry.pw_gid, needs_override=True)
    for account in (plain, able):
        if _can_reach(account, home.parent, programs):
            return account
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and the user {entry.pw_name} cannot enter {home.parent}. "
        "Move the project to a folder others may enter (/opt or /srv), or start it as a normal user."
    )


def _can_reach(account: Account, folder: Path, programs: Sequence[Path]) -> bool:
    # The question as the server itself will ask it, by access(2), before it runs.
    script = 'cd "$1" && shift && for program; do env test -x "$program" && "$program" --version || exit 1; done'
    folder = next(parent for parent in (folder, *folder.parents) if parent.exists())
    attempt = as_account(["/bin/sh", "-c", script, "sh", str(folder), *map(str, programs)], account)
    return subprocess.run(attempt, capture_output=True, check=False, cwd="/").returncode == 0


@cache
def _setpriv() -> Path | None:
    return find_program("setpriv")


def as_account(command: Sequence[str], account: Account | None, *, parent_death: str = "") -> list[str]:
    """Wrap ``command`` so that it runs as ``account`` and receives ``parent_death`` when its parent ends.

    ``setpriv`` does both between fork and exec, where Python code is not safe to run. It is part of every
    Linux distribution; without it (macOS) the command is returned as it is.

    Parameters
    ----------
    parent_death
        Signal name without SIG, "INT" for PostgreSQL's fast shutdown. Set after the change of account,
        which would clear it.
    """
    setpriv = _setpriv()
    if setpriv is None:
        if account is not None:
            raise EmbeddedError("setpriv (package util-linux) is missing. Install it, or start as a normal user.")
        return list(command)
    options: list[str] = []
    if account is not None:
        options += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--no-new-privs"]
        if account.needs_override:
            # access(2), by which PostgreSQL looks for its own files, ignores the capability without this bit.
            options += ["--securebits=+no_setuid_fixup"]
            options += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    if parent_death:
        options += [f"--pdeathsig={parent_death}"]
    return [str(setpriv), *options, "--", *command] if options else list(command)


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot: its identity, with the pid. None if gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def processes_working_in(folder: Path) -> Iterator[int]:
    """Yield the processes that work in ``folder``, as those of PostgreSQL do in their data folder."""
    wanted = os.path.realpath(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "cwd").readlink()) == wanted and started_ticks(int(entry.name)) is not None:
                yield int(entry.name)
        except OSError:
            continue


def end_group(pid: int, ticks: int | None, *, first: signal.Signals, grace_s: float) -> bool:
    """End a process of an earlier supervisor and its group, politely first. Return whether it was there."""
    if ticks is None or started_ticks(pid) != ticks:
        return False
    os.kill(pid, first)
    deadline = time.monotonic() + grace_s
    while started_ticks(pid) == ticks and time.monotonic() < deadline:
        time.sleep(0.05)
    if started_ticks(pid) == ticks:
        os.killpg(pid, signal.SIGKILL)
    return True
