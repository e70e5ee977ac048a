"""The models on disk, and which of them a tenant runs."""

from __future__ import annotations

import functools
from pathlib import Path

from django.conf import settings

from gantry.audit.public import Entry, Kind, record
from gantry.catalog.models import Deployment, Phase
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry_inference.cards import Card, load_cards


@functools.cache
def _cards_in(repository: Path) -> tuple[Card, ...]:
    return tuple(load_cards(repository))


def list_cards() -> tuple[Card, ...]:
    """Return the cards of the model repository, read once."""
    return _cards_in(settings.MODEL_REPOSITORY)


def find_card(model: str, version: str) -> Card | None:
    """Return the card of a model version, where the repository has it."""
    return next((card for card in list_cards() if (card.name, card.version) == (model, version)), None)


@atomic_service
def deploy_model(*, actor: Actor, card: Card, phase: Phase, clock: Clock = SYSTEM_CLOCK) -> Deployment:
    """Put a model version to use in the tenant, or change how far it is let."""
    deployment, _ = Deployment.objects.update_or_create(
        model=card.name,
        version=card.version,
        defaults={
            "card_digest": card.digest,
            "phase": phase,
            "deployed_at": clock.now(),
            "deployed_by": actor.id,
        },
    )
    detail = {"model": card.name, "version": card.version, "phase": phase.value, "card": card.digest}
    record(actor=actor, entry=Entry(kind=Kind.CONFIGURATION, action="model.deployed", detail=detail), clock=clock)
    return deployment


@atomic_service
def list_deployed_cards() -> list[tuple[Deployment, Card]]:
    """Return what the tenant runs, with each card; a version that left the repository is left out."""
    rows = Deployment.objects.exclude(phase=Phase.OFF).order_by("model", "version")
    pairs = [(row, find_card(row.model, row.version)) for row in rows]
    return [(row, card) for row, card in pairs if card is not None]
