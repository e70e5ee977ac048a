"""What other parts may use of analyses."""

from gantry.analyses.domain import State
from gantry.analyses.events import AnalysisChanged, FindingReviewed
from gantry.analyses.housekeeping import sweep_orphans
from gantry.analyses.models import Analysis, Finding
from gantry.analyses.reading import (
    OpenedAnalysis,
    latest_analyses,
    latest_state,
    open_analyses,
    open_analysis,
    open_contours,
)
from gantry.analyses.review import review_finding
from gantry.analyses.services import list_open_analyses, requeue_analysis, start_analysis
from gantry.analyses.shapes import Shape, list_shapes

__all__ = [
    "Analysis",
    "AnalysisChanged",
    "Finding",
    "FindingReviewed",
    "OpenedAnalysis",
    "Shape",
    "State",
    "latest_analyses",
    "latest_state",
    "list_open_analyses",
    "list_shapes",
    "open_analyses",
    "open_analysis",
    "open_contours",
    "requeue_analysis",
    "review_finding",
    "start_analysis",
    "sweep_orphans",
]
