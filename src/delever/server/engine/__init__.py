"""The engine of a server, in reading order.

1. journal_lock       one process writes a journal at a time
2. market_snapshot    the whole market as of one sequence, immutable
3. account_snapshot   one account's wallets and positions
4. commit             commits on the engine's thread: time stamps, idempotency, the market snapshot
5. listeners          functions called with every commit, each isolated from the others
6. runner             the single writer: engine, journal and clock behind asynchronous methods
7. replica            one of several servers that run the commands of a replicated log
8. fill_explainer     explanations of fills, replayed in a process of their own
"""
