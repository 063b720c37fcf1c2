import django.db.models.deletion
import django.db.models.functions.datetime
import hosts.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.UUIDField(default=hosts.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=60)),
                ('query', models.CharField(blank=True, db_default='', default='', max_length=2000)),
                ('is_shared', models.BooleanField(db_default=False, default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('name', 'id'),
                'indexes': [models.Index(condition=models.Q(('is_shared', True)), fields=['name'], name='savedview_shared')],
                'constraints': [models.UniqueConstraint(fields=('owner', 'name'), name='savedview_name_once_an_owner')],
            },
        ),
    ]
