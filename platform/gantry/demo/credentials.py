"""The demo accounts' passwords and tokens: drawn at random once, kept in the state folder, mode 0600."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gantry.kernel.vocabulary import MEMBER_ROLES

SLUGS = ("north", "west", "south")
_FILE = "demo.json"
_WORDS = (
    "amber", "birch", "cedar", "coral", "delta", "ember", "fjord", "grove", "heron", "indigo", "jasper", "kelp",
    "lotus", "maple", "nectar", "otter", "pebble", "quartz", "raven", "sable", "tundra", "umber", "violet", "willow",
)  # fmt: skip


def _password() -> str:
    """Draw a password that a person can type: three words and four digits, about 27 bits. Loopback only."""
    return "-".join([*(secrets.choice(_WORDS) for _ in range(3)), f"{secrets.randbelow(10_000):04d}"])


@dataclass
class DemoFile:
    """Passwords by tenant and role, tokens as far as they were issued."""

    root: Path
    passwords: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> DemoFile | None:
        """Return what was kept, or None."""
        path = root / _FILE
        if not path.is_file():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(root, kept["passwords"], kept["tokens"])

    @classmethod
    def open(cls, root: Path) -> DemoFile:
        """Return what was kept, or draw it and keep it."""
        found = cls.read(root)
        if found is None:
            found = cls(root, {slug: {role.value: _password() for role in MEMBER_ROLES} for slug in SLUGS})
            found.write()
        return found

    def write(self) -> None:
        """Keep it, atomically, for the owner alone."""
        path = self.root / _FILE
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"passwords": self.passwords, "tokens": self.tokens}, file, indent=2)
        draft.replace(path)

    def describe(self, url: str) -> dict[str, Any]:
        """Return what `gantry demo --json` prints."""
        url = url.rstrip("/")
        return {
            "url": url,
            "tenants": [
                {
                    "slug": slug,
                    "url": f"{url}/t/{slug}/",
                    "dicomweb_url": f"{url}/t/{slug}/dicomweb",
                    "api_url": f"{url}/t/{slug}/api/v1",
                }
                for slug in self.passwords
            ],
            "accounts": [
                {"tenant": slug, "role": role, "email": email_of(slug, role), "password": password}
                for slug, roles in self.passwords.items()
                for role, password in roles.items()
            ],
            "tokens": [
                {"tenant": slug, "role": role, "token": token}
                for slug, roles in self.tokens.items()
                for role, token in roles.items()
            ],
        }


def email_of(slug: str, role: str) -> str:
    """Return a demo account's address; `.example` belongs to nobody (RFC 2606)."""
    return f"{role}@{slug}.example"
