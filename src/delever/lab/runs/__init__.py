"""Commands run through the engine: from a scenario, from a journal, or as a stress test.

scenario            one command a line (NDJSON), read with readable errors
journal_commands    the commands of a verified journal
command_runner      commands on a copy of a book, without a journal
run                 a book and commands -> events, fills, observations and a summary
stress_test         a shock of the marks, under one rule set or several
"""
