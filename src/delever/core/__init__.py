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
17. ranges         what could leave int64, and is refused before it happens
18. valuation      equity, margin, leverage and return for a whole lane at once
19. bankruptcy     bankruptcy price, takeover, what is left over or missing
20. liquidation    managed pools: who must be taken over
21. insurance      unwinding, cover, profit per contract, funding
22. triggers       when ADL starts and when it stops
23. ranking        score -> queue, lights, quantity ahead
24. policies       who stands in line, and with what weight
25. allocation     tiers -> exact lots
26. pricing        the price at which ADL closes
27. skips          who in line is passed over
28. socialising    what happens instead of a queue, or after it
29. rules          one file a venue, each a RuleSet of the parts above
30. deleveraging   one round: fills, skipped candidates, leftovers
31. stress         what a move of the mark would leave for ADL
32. rating         ADL risk of a contract: seven inputs, two views, one level
33. publishing     ratings and lights, as the step leaves the book
34. ledger         event -> balanced postings
35. invariants     what holds after every step
36. positions      absolute balances and positions, outstanding fills on top
37. packing        columns -> a command in columns
38. bulk           the same in columns, for millions of rows
39. intake         command -> events, or a refusal that names field and value
40. notices        who must be told
41. engine         step(book, command) -> events: the cycle on one screen
42. explanation    why me, and why not me
43. what_if        what one change would make of a place in line
"""
