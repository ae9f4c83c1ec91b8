"""The past in SQL: a projection of the journal that can be thrown away and made again.

    tables      what is kept: pool points, flows, takeovers, unwinds, rounds, fills, episodes
    projection  records -> rows, pure
    history     follows the journal; the cursor moves in the transaction of its rows
    queries     what is asked of it

One schema for SQLite and PostgreSQL; amounts are the book's own integers.
"""
