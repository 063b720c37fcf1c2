"""Faults on purpose, with real engines, a real PostgreSQL, and real processes that are killed and frozen.

Runs are counted by the engines' events and by the containers themselves (`counting`), never by our rows. Taps
on the way to the engine and to the database (`tests.support.taps`) hold, lose or answer one message, so that
no hook stands in the code under test. What takes minutes runs in `make soak` only.

Which test shows which fault (the numbers are those of the list of faults that the design was made with):

== ================================================== =================================================
 1 eight claimers, each job once; a naive claim fails jobs.test_claim_races
 2 a nested-loop plan: LIMIT 1 claims one             test_claim_plans
 3 KILL of the worker at each step                    test_killed_at_each_step
 4 STOP over the lease at each step, then CONT        test_killed_at_each_step, test_chaos
 5 the same, when a rival has ended the job           test_killed_at_each_step
 6 KILL of the master                                 process.test_supervise (killed master), test_chaos
 7 KILL of everything, jobs that end meanwhile        supervisor.test_two_engines (everything was killed)
 8 TERM, five TERMs, two INTs, TERM to one worker     test_processes, process.test_supervise
 9 a worker that dies at once, again and again        supervisor.test_restarts, process.test_children
10 a wrong setting parks, its row's change frees      supervisor.test_restarts, process.test_children
11 no restart follows a stop                          process.test_supervise (stop signals)
12 a child that hangs in boot                         test_stuck_children, process.test_children
13 a main loop that is blocked                        test_stuck_children, process.test_children
14 PostgreSQL stopped                                 test_database_outages
15 PostgreSQL frozen                                  test_database_outages
16 the listener's session is ended                    test_database_outages
17 SQLite locked, disk full                           test_database_outages
18 engine away; restarted, with and without its jobs  test_engine_outages, supervisor.test_engine_away
19 another engine at the same address                 test_engine_outages
20 500, 409, lost replies                             test_engine_answers
21 a stranger's container with our name               test_engine_answers, supervisor.test_adoption_of_runs
22 a container removed by hand                        test_engine_answers, supervisor.test_adoption_of_runs
23 an unstarted container of a dead owner             test_engine_answers, supervisor.test_adoption_of_runs
24 clocks that jump, a machine that sleeps            hosts.test_leases, supervisor.test_suspended_machine,
                                                      test_sleeping_machine
25 a pid that is another process's now                hosts.test_identity
26 many masters at once, one worker a host            test_masters, hosts.test_lease_races
27 a cancel at each step, and racing with the end     test_engine_answers, jobs.test_operation_races
28 a job that kills its workers                       test_poison
29 a thousand restarts, ten thousand jobs             test_processes
30 PID 1                                              test_processes
== ================================================== =================================================

No test sets a clock (24): a machine has one for everybody. It decides nothing that runs: leases and deadlines
go by the database's, and what a holder trusts by the boot clock, which nobody sets.
"""
