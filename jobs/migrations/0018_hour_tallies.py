from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0017_newest_failures'),
    ]

    operations = [
        migrations.CreateModel(
            name='HourTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('template_name', models.CharField(max_length=100)),
                ('outcome', models.CharField(choices=[('succeeded', 'Succeeded'), ('user', 'The program failed'), ('oom', 'Out of memory'), ('interrupted', 'Interrupted from outside'), ('timeout', 'Over its timeout'), ('cancelled', 'Cancelled'), ('rejected', 'Rejected: it cannot start as it is'), ('infra', 'The engine could not start it'), ('lost', 'Lost: its container is gone')], max_length=12)),
                ('count', models.PositiveIntegerField()),
                ('seconds', models.FloatField()),
                ('log_bytes', models.BigIntegerField()),
                ('within_1s', models.PositiveIntegerField()),
                ('within_10s', models.PositiveIntegerField()),
                ('within_1m', models.PositiveIntegerField()),
                ('within_10m', models.PositiveIntegerField()),
                ('within_1h', models.PositiveIntegerField()),
                ('beyond_1h', models.PositiveIntegerField()),
                ('hour', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('hour', 'template_name', 'outcome'), name='hourtally_once')],
            },
        ),
    ]
