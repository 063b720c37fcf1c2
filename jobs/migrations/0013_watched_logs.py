from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0012_placement_and_limits")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="watched_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
