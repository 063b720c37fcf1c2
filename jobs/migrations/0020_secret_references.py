"""Variables whose values are kept elsewhere, or become files; who set a secret, and when."""

from django.db import migrations, models

import jobs.variables


class Migration(migrations.Migration):
    dependencies = [("jobs", "0019_say_what_hosts_allow")]

    operations = [
        migrations.AddField(
            model_name="environmentvariable",
            name="as_file",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The container finds it in /run/secrets/NAME, in memory, and NAME_FILE says so.",
                verbose_name="as a file",
            ),
        ),
        migrations.AddField(
            model_name="environmentvariable",
            name="reference",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Instead of a value: where the worker finds it at each launch, as in vault:secret/app/db#password, file:/run/credentials/db or env:JOB_PASSWORD.",
                max_length=500,
                validators=[jobs.variables.validate_reference],
            ),
        ),
        migrations.AddField(
            model_name="environmentvariable",
            name="set_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="environmentvariable",
            name="set_by",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=150),
        ),
        migrations.AlterField(
            model_name="containerjob",
            name="override_environment",
            field=models.JSONField(
                blank=True, db_default={}, default=dict, validators=[jobs.variables.validate]
            ),
        ),
    ]
