from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0014_newest_of_template")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="watched_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
