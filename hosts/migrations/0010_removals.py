from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0009_steps_of_tests'),
    ]

    operations = [
        migrations.AlterField(
            model_name='hostrequest',
            name='verb',
            field=models.CharField(choices=[('test', 'Test the connection'), ('examine', 'Test the connection step by step'), ('restart', 'Restart the worker'), ('pause', 'Take no new jobs'), ('resume', 'Take jobs again'), ('reap', 'Remove containers without a row')], max_length=20),
        ),
    ]
