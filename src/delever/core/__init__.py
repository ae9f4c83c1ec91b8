"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units          Cash, Lots, Ticks; text <-> integer; every division of money
 2. kernels        work on whole columns, in plain NumPy and compiled
 3. messages       every command, event and reason; nothing else crosses a boundary
 4. reading        the numbers of a command, exactly, or a refusal
 5. contracts      linear and inverse terms, margin tiers, value <-> price
 6. rolling        over a window of time: exact peak, exact mean, realised volatility
 7. names          account names <-> account numbers
 8. columns        accounts and wallets as arrays
 9. row_index      where an account's position stands in its lane
10. lanes          the positions of one contract and side as arrays
11. inventory      what a pool has taken over and not yet closed
12. holdings       what the book keeps for each asset, contract and pool
13. book_state     what the book holds, looked up; the hash of what has changed
14. filling        the fills of one round, as events and as columns
15. book_moves     the moves that a book's changes are made of
16. book           the one mutable object; apply(event) is its only mutation
17. valuation      equity, margin, leverage and return for a whole lane at once
18. bankruptcy     bankruptcy price, takeover, what is left over or missing
19. liquidation    managed pools: who must be taken over
20. insurance      unwinding, cover, profit per contract, funding
21. triggers       when ADL starts and when it stops
22. ranking        score -> queue, lights, quantity ahead
23. policies       who stands in line, and with what weight
24. allocation     tiers -> exact lots
25. pricing        the price at which ADL closes
26. skips          who in line is passed over
27. socialising    what happens instead of a queue, or after it
28. rules          one file a venue, each a RuleSet of the parts above
29. deleveraging   one round: fills, skipped candidates, leftovers
30. stress         what a move of the mark would leave for ADL
31. rating         ADL risk of a contract: seven inputs, two views, one level
32. publishing     ratings and lights, as the step leaves the book
33. ledger         event -> balanced postings
34. invariants     what holds after every step
35. positions      absolute balances and positions, outstanding fills on top
36. packing        columns -> a command in columns
37. bulk           the same in columns, for millions of rows
38. intake         command -> events, or a refusal that names field and value
39. notices        who must be told
40. engine         step(book, command) -> events: the cycle on one screen
41. explanation    why me, and why not me
42. what_if        what one change would make of a place in line
"""
