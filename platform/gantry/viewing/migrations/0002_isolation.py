from django.db import migrations

from gantry.foundation.isolation import definer_function, isolate

# A pod names the sessions that it says it holds. What it does not hold is not among the answers.
HELD_SESSIONS = """
    select tenant_id, id from viewing_rendersession
    where id = any($2) and viewing_rendersession.pod = $1 and state = 'redeemed'
"""


class Migration(migrations.Migration):
    dependencies = [("viewing", "0001_initial"), ("studies", "0002_isolation")]
    operations = [
        isolate(
            "viewing_rendersession",
            parents={"study_id": "studies_study", "series_id": "studies_series"},
            definer_columns=["tenant_id", "id", "pod", "state"],
        ),
        definer_function(
            "held_render_sessions(pod text, sessions uuid[])",
            "table (tenant_id uuid, session_id uuid)",
            HELD_SESSIONS,
        ),
    ]
