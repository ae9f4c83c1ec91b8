"""Commands run through the engine: from a scenario, from a journal, or as a stress test.

scenario            one command a line (NDJSON), read with readable errors
journal_commands    the commands of a verified journal
command_runner      commands on a copy of a book, without a journal
run                 a book and commands -> events, fills, observations and a summary
market_paths        scenarios: what marks, order books and accounts do, step by step
managed_book        a copy of a book with managed pools, other rules, other balances
stress_test         a crash, under one rule set or several
sweeps              many simulations of one book, in processes, resumable
"""
