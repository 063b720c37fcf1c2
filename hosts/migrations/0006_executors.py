"""The kinds of engine are asked of the registry: what is declared elsewhere needs no migration."""

import hosts.executors.registry
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0005_counts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='dockerhost',
            name='executor_type',
            field=models.CharField(choices=hosts.executors.registry.choices, db_default='docker', default='docker', max_length=20),
        ),
    ]
