from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0013_start_deadline_of_what_is_starting")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="watched_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
