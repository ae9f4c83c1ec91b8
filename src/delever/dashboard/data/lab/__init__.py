"""What the pages of the lab compute, in processes beside the server, in reading order.

example_book  the book that a study is of
study         policies over many scenarios, sizes of the fund, a plan with its certificate
study_queue   studies in worker processes: one at a time, with progress, and to be cancelled
crash_runs    one scenario under several rule sets
"""
