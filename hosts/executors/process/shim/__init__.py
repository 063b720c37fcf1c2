"""The keeper of one job: a small process that outlives worker and supervisor and records how the job ended.

It is started as `python -I -S <this folder> <job folder> <container id>`, imports the standard library only,
and all of it before it starts the job: an upgrade of the project cannot break one that is running.
Read `keeper.py` first. `files.py` is what it shares with the worker's side.
"""
