from django.db import migrations

from gantry.foundation.isolation import definer_function, isolate

OPEN_ANALYSES = """
    select tenant_id, id from analyses_analysis
    where state in ('queued', 'running', 'waiting')
      and coalesce(lease_until, created_at) < now() and coalesce(next_attempt_at, created_at) < now()
    order by created_at limit 100
"""


class Migration(migrations.Migration):
    dependencies = [("analyses", "0002_initial"), ("studies", "0002_isolation")]
    operations = [
        isolate(
            "analyses_analysis",
            parents={"study_id": "studies_study", "series_id": "studies_series"},
            definer_columns=["tenant_id", "id", "state", "lease_until", "next_attempt_at", "created_at"],
        ),
        isolate("analyses_finding", parents={"analysis_id": "analyses_analysis", "study_id": "studies_study"}),
        isolate("analyses_review", parents={"finding_id": "analyses_finding"}, grants="select, insert"),
        isolate("analyses_artefact", parents={"analysis_id": "analyses_analysis"}),
        definer_function("open_analyses()", "table (tenant_id uuid, analysis_id uuid)", OPEN_ANALYSES),
    ]
