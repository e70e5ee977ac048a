"""Pure parts of signing in: counting failures, and telling a person which device a session is on."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures within `window` lock what they are counted for, and for how long."""

    failures: int
    window: timedelta = timedelta(minutes=15)
    lock: timedelta = timedelta(minutes=15)


#: A guesser of one password is stopped soon; a hospital behind one address is not stopped by a few typos.
ACCOUNT_LIMIT = Limit(failures=5)
ADDRESS_LIMIT = Limit(failures=50)


@dataclass(frozen=True, slots=True)
class Tally:
    """The recent failures of one account or one address."""

    failed_at: tuple[datetime, ...] = ()
    locked_until: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        """Tell whether no attempt may be made now."""
        return self.locked_until is not None and now < self.locked_until

    def reserve(self, now: datetime, limit: Limit) -> Tally:
        """Count an attempt as a failure before its outcome is known, so that guesses made in parallel count too."""
        failed_at = (*(at for at in self.failed_at if now - at < limit.window), now)
        return Tally(failed_at, now + limit.lock if len(failed_at) >= limit.failures else None)

    def withdraw(self, at: datetime, limit: Limit) -> Tally:
        """Take back an attempt that turned out well."""
        failed_at = list(self.failed_at)
        if at in failed_at:
            failed_at.remove(at)
        return Tally(tuple(failed_at), self.locked_until if len(failed_at) >= limit.failures else None)


def network_of(address: str) -> str:
    """Return the part of an address that names a network: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network(f"{parsed}/64", strict=False))
    return str(parsed)


_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"),
             ("Chrome", "Chrome"), ("Safari", "Safari"))  # fmt: skip
_SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS"), ("Windows", "Windows"),
            ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


def describe_agent(user_agent: str) -> str:
    """Return a User-Agent header in words, such as "Firefox on Linux"."""
    browser = next((name for mark, name in _BROWSERS if f"{mark}/" in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if browser or system:
        return " on ".join(filter(None, (browser or "Browser", system)))
    product = re.match(r"[A-Za-z][\w.-]{0,31}", user_agent)
    return product.group() if product else "Unknown device"


def minutes_until(moment: datetime, now: datetime) -> int:
    """Return the whole minutes to wait, rounded up, at least one."""
    return max(1, -int((now - moment).total_seconds() // 60))
