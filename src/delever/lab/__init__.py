"""The lab: books from tables, queues and runs as data frames, stress tests, comparisons, studies.

    errors      errors that name what is wrong with an input, and where
    tables      book directories and data frames <-> a book
    measures    what a run did to contracts and pools: totals, time series, distribution of ADL
    runs        scenarios, journals and shocks run through the engine
    queries     queue, explanation, what-if of positions; fills explained; rules compared; ratings
    studies     the ADL of Hyperliquid on 2025-10-10 under every venue's rules
    reports     finished runs and comparisons stored, drawn, and as one HTML file

Tables come in and go out as polars data frames. A book changes only by the engine's `step`, so an
invalid table is rejected by the same checks as a venue's commands.
"""
