"""What `gantry up` shows while the parts start, run and stop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from gantry.embedded.environment import child_environment
from gantry.embedded.parts import Part, Stack


class ConsoleReporter:
    """Tell the story on a terminal, or line by line where there is none.

    A terminal that hung up must not keep the stack from stopping, so its errors are ignored.
    """

    def __init__(self, console: Console, stack: Stack) -> None:
        self._console = console
        self._stack = stack
        self._begun = time.monotonic()
        self._busy: dict[str, str] = {}
        self._is_up = False
        self._status = console.status("Starting …")

    def __enter__(self) -> Self:
        """Begin to show what is going on."""
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        with suppress(OSError):
            self._status.stop()

    def _say(self, what: Any) -> None:
        with suppress(OSError):
            self._console.print(what, soft_wrap=isinstance(what, str))

    def _show_busy(self) -> None:
        with suppress(OSError):
            self._status.update("Starting " + ", ".join(self._busy.values()) + " …" if self._busy else "…")

    def starting(self, part: Part) -> None:
        """Add a part to the line of what is going on."""
        self._busy[part.name] = part.title
        self._show_busy()

    def progressed(self, part: Part, line: str) -> None:
        """Show the last word of a step that may take long."""
        if part.is_ready is None:
            text = f"{part.title} [dim]{escape(line[:80])}[/dim]"
            if self._busy.get(part.name) != text:
                self._busy[part.name] = text
                self._show_busy()

    def ready(self, part: Part, after_s: float) -> None:
        """Say that a part runs."""
        self._busy.pop(part.name, None)
        self._show_busy()
        self._say(f"[green]✓[/green] {part.title} [dim]{after_s:.1f} s[/dim]")

    def absent(self, part: Part, reason: str) -> None:
        """Say that a part does not run, and what does its work."""
        self._busy.pop(part.name, None)
        instead = f" Instead: {part.fallback}." if part.fallback else ""
        self._say(f"[yellow]-[/yellow] {part.title}: {escape(reason + instead)}")

    def crashed(self, part: Part, code: int, wait_s: float) -> None:
        """Say that a part ended by itself."""
        how = f"signal {-code}" if code < 0 else f"status {code}"
        log = self._stack.state.log_of(part.name)
        again = f"starting it again in {wait_s:.1f} s"
        self._say(f"[red]![/red] {part.title} ended ({how}); {again}. See {escape(log)}")

    def up(self) -> None:
        """Print the address, the accounts and what runs."""
        self._is_up = True
        accounts = self._accounts()
        with suppress(OSError):
            self._status.stop()
        blocks: list[Any] = [f"[bold]{self._stack.url}[/bold]"]
        if self._stack.web_port != self._stack.first_web_port:
            blocks.append(f"Port {self._stack.first_web_port} is taken by another program.")
        if accounts:
            blocks += ["", accounts]
        running = [name for name in self._stack.ready if name not in {"migrate", "demo"}]
        blocks += ["", f"Running: {', '.join(sorted(running))}"]
        blocks += [f"[yellow]{title}[/yellow]: {escape(why)}" for title, why in self._stack.fallbacks.items()]
        blocks += [f"[dim]Logs in {escape(str(self._stack.state.logs))}. Ctrl-C stops everything.[/dim]"]
        took = time.monotonic() - self._begun
        self._say(Panel(Group(*blocks), title=f"Gantry is up ({took:.1f} s)", expand=False))

    def stopping(self) -> None:
        """Say that the stack is being stopped."""
        with suppress(OSError):
            self._status.stop()
        self._say("Stopping … (Ctrl-C again: at once)")

    def _accounts(self) -> Table | None:
        if "demo" not in self._stack.ready:
            return None
        answer = subprocess.run(
            [sys.executable, "-m", "gantry.cli.main", "demo", "--json"],
            env=child_environment(self._stack.settings()),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if answer.returncode:
            return None
        table = Table("tenant", "role", "e-mail", "password", box=None, pad_edge=False)
        for account in json.loads(answer.stdout)["accounts"]:
            table.add_row(*(escape(str(account[key])) for key in ("tenant", "role", "email", "password")))
        return table
