"""The laboratory: books from tables, queues and runs as data frames, shocks, comparisons.

    errors      what is wrong with an input, and where
    tables      one CSV file, Parquet file or data frame, read as text
    frames      a book directory or data frames <-> a book
    scenario    one command a line
    figures     the book's integers as people read them
    results     queue, explanation and what-if of a book
    fills       any past fill out of a journal, explained
    comparing   where the same positions stand under every venue's rules
    ratings     the ADL risk of contracts, taken apart
    runs        a book and commands -> what happened, in total and fill by fill
    history     the path of a run: pools and contracts whenever they were observed
    measures    how ADL was shared out, and what it cost
    recorded    the commands of a journal, to be played again
    kept        a finished run in a directory, a comparison in a file
    plots       pictures of either, with matplotlib
    report      either as one HTML file
    shocks      marks that move at once, under one rule set or several
    market      a synthetic market calibrated to the crash of 10 October 2025
    crash       that market played from the first liquidation to the end of ADL
    hyperliquid the real ADL of that day under each venue's rules

Beside them: `inference` and `export` (of `frames`), `explaining` (of `results`), `filled` (of
`fills`), `tally` (of `runs`), `compared` (of `kept`), `places` (of `plots`), `aftermath` (of
`crash`), `hyperreplay` and `orders` (of `hyperliquid`).

Tables come in and go out as polars data frames. A book changes only by the engine's `step`, so what
is wrong with a table is found by the same checks that a venue's commands go through.
"""
