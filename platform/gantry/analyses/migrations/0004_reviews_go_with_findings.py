from django.db import migrations

#: Reviews cannot be deleted by the application; they go with the finding that is erased, and by that alone.
SQL = """
alter table analyses_review drop constraint analyses_review_finding_id_parent;
alter table analyses_review add constraint analyses_review_finding_id_parent
    foreign key (tenant_id, finding_id) references analyses_finding (tenant_id, id) on delete cascade;
"""


class Migration(migrations.Migration):
    dependencies = [("analyses", "0003_isolation")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
