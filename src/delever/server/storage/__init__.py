"""The SQL database next to the journal: a projection that can be dropped and made again.

1. sql_text        the text type of all tables
2. tables          points of pools and contracts, flows, takeovers, rounds, fills, episodes
3. rows            rows of records, a pure function
4. migrations/     the steps from one schema to the next
5. database        SQLite or PostgreSQL, migrated at start
6. projector       follows the journal; the cursor moves in the transaction of its rows
7. queries         queries of the history
8. rolling_peaks   rolling peaks at each point, as the engine had them
"""
