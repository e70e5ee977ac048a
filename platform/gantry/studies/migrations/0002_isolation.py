from django.db import migrations

from gantry.access.public import GRANT_IN_TIME
from gantry.foundation.isolation import definer_function, isolate

DUE_STUDIES = """
    select tenant_id, id from studies_study
    where state = 'receiving' and quiet_until <= now() order by quiet_until limit 100
"""


class Migration(migrations.Migration):
    dependencies = [("studies", "0001_initial"), ("tenancy", "0002_isolation")]
    operations = [
        isolate("studies_patient"),
        isolate(
            "studies_study",
            parents={"patient_id": "studies_patient", "institution_id": "tenancy_institution"},
            definer_columns=["tenant_id", "id", "state", "quiet_until"],
        ),
        isolate("studies_series", parents={"study_id": "studies_study"}),
        isolate("studies_instance", parents={"study_id": "studies_study", "series_id": "studies_series"}),
        isolate("studies_quarantinedinstance", parents={"institution_id": "tenancy_institution"}),
        isolate("studies_studygrant", parents={"content_object_id": "studies_study"}, extra_using=GRANT_IN_TIME),
        definer_function("due_studies()", "table (tenant_id uuid, study_id uuid)", DUE_STUDIES),
    ]
