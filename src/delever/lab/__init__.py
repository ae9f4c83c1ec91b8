"""The laboratory: books from tables, queues and runs as data frames, shocks, comparisons.

    errors      what is wrong with an input, and where
    tables      one CSV file, Parquet file or data frame, read as text
    frames      a book directory or data frames <-> a book
    scenario    one command a line
    figures     the book's integers as people read them
    results     queue, explanation and what-if of a book
    runs        a book and commands -> what happened, in total and fill by fill
    shocks      marks that move at once, under one rule set or several

Tables come in and go out as polars data frames. A book changes only by the engine's `step`, so what
is wrong with a table is found by the same checks that a venue's commands go through.
"""
