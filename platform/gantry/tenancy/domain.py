"""Which place an address is, by the tenant's own table of networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from gantry.kernel.vocabulary import Place


def place_of(address: str, networks: Iterable[tuple[str, str]]) -> Place:
    """Return the place of the most specific network that holds `address`; unknown counts as abroad.

    Parameters
    ----------
    networks
        Pairs of CIDR and place.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return Place.ABROAD
    best: tuple[int, Place] | None = None
    for cidr, place in networks:
        network = ipaddress.ip_network(cidr)
        if ip.version == network.version and ip in network and (best is None or network.prefixlen > best[0]):
            best = (network.prefixlen, Place(place))
    return best[1] if best else Place.ABROAD
