"""What other parts may use of the catalogue of models."""

from gantry.catalog.models import Deployment, Phase
from gantry.catalog.services import deploy_model, find_card, list_cards, list_deployed_cards

__all__ = ["Deployment", "Phase", "deploy_model", "find_card", "list_cards", "list_deployed_cards"]
