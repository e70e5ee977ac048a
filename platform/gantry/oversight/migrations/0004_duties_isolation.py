from django.db import migrations

from gantry.foundation.isolation import isolate


class Migration(migrations.Migration):
    dependencies = [("oversight", "0003_duties"), ("foundation", "0003_isolation")]
    operations = [
        # What was asked and what happened is kept: rows are added and advanced, never taken away by the application;
        # steps and notices are not even changed.
        isolate("oversight_subjectrequest", grants="select, insert, update"),
        isolate(
            "oversight_subjectrequeststep",
            parents={"request_id": "oversight_subjectrequest"},
            grants="select, insert",
        ),
        isolate("oversight_incident", grants="select, insert, update"),
        isolate(
            "oversight_incidentnotice",
            parents={"incident_id": "oversight_incident"},
            grants="select, insert",
        ),
    ]
