"""Who set each secret of a host, and when."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hosts", "0011_say_what_policies_hold")]

    operations = [
        migrations.AddField(
            model_name="dockerhost",
            name="secret_marks",
            field=models.JSONField(blank=True, db_default={}, default=dict, editable=False),
        ),
    ]
