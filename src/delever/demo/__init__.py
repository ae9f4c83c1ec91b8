"""A synthetic crash, for the command line, a demo server, the lab and tests: one generator.

synthetic_market    contracts, positions, path of the marks and order books, drawn from a seed
crash_generator     the commands of a crash: the opening, each second, the operator's injections
crash_report        totals, time series, and the most affected accounts explained
crash_run           a crash run through engine and journal, and verified
demo_account        the account of the served demo, and the symbols of its contracts
served_crash        a crash in real time, for a server
"""
