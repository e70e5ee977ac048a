"""Asks a site for effects and reads, one after the other, and writes down what it was answered. Run as a program.

It reads what to do as a JSON object on standard input, and writes one JSON line an answer to a file, as soon as it has
it: who kills it loses no answer that was given. Its database lies behind whatever link its environment names.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any


def _requests(who: dict[str, Any], name: str) -> tuple[str, str, str, dict[str, Any]]:
    """Return kind, token, path and body of the request that a name stands for."""
    kinds = ("team", "incident", "member", "search", "refused")
    kind = kinds[int(name.rsplit("-", 1)[1]) % len(kinds)]
    if kind == "team":
        return kind, who["admin"], "/api/v1/care-teams", {"name": name}
    if kind == "incident":
        return kind, who["compliance"], "/api/v1/incidents", {"title": name}
    if kind == "member":
        return kind, who["admin"], "/api/v1/members", {"email": f"{name}@effects.test", "name": name, "role": "surgeon"}
    if kind == "search":
        return kind, who["radiologist"], "/api/v1/worklist/search", {"page_size": 5}
    return kind, who["surgeon"], "/api/v1/incidents", {"title": name}


def _work(task: dict[str, Any], names: list[str], answers: Any, lock: threading.Lock) -> None:
    from site_client import Client

    clients: dict[str, Client] = {}
    for name in names:
        kind, token, path, body = _requests(task["tokens"], name)
        client = clients.setdefault(token, Client(task["slug"], token=token))
        response = client.post(path, json=body, headers={"X-Correlation-Id": name})
        line = json.dumps({"name": name, "kind": kind, "status": response.status_code})
        with lock:
            answers.write(line + "\n")
            answers.flush()


def work_all(task: dict[str, Any]) -> None:
    """Make all requests of a task in a few threads."""
    lock, threads = threading.Lock(), int(task["threads"])
    with Path(task["answers"]).open("a", encoding="utf-8") as answers:
        workers = [
            threading.Thread(target=_work, args=(task, task["names"][n::threads], answers, lock))
            for n in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def main() -> None:
    """Do one task, or each of several in a child of its own whose id is told before it begins."""
    import django

    django.setup()
    from gantry.audit.vocabulary import be_strict
    from site_client import application

    be_strict()
    application()
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                work_all(task)
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
