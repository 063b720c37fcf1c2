import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0013_start_deadline_of_what_is_starting'),
    ]

    operations = [
        # The new index first: it finds a template's jobs as well, so at no moment there is none.
        migrations.AddIndex(
            model_name='containerjob',
            index=models.Index(fields=['template', '-created_at', '-id'], name='job_template_newest'),
        ),
        migrations.AlterField(
            model_name='containerjob',
            name='template',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='jobs.containertemplate'),
        ),
    ]
