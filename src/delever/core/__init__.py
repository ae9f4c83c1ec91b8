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
11. holdings       what the book keeps for each asset, contract and pool
12. book_state     what the book holds, looked up; the hash of what has changed
13. filling        the fills of one round, as events and as columns
14. book_moves     the moves that a book's changes are made of
15. book           the one mutable object; apply(event) is its only mutation
16. valuation      equity, margin, leverage and return for a whole lane at once
17. bankruptcy     bankruptcy price, takeover, what is left over or missing
18. liquidation    managed pools: who must be taken over
19. insurance      inventory, cover, profit per contract, funding
20. triggers       when ADL starts and when it stops
21. ranking        score -> queue, lights, quantity ahead
22. policies       who stands in line, and with what weight
23. allocation     tiers -> exact lots
24. pricing        the price at which ADL closes
25. skips          who in line is passed over
26. socialising    what happens instead of a queue, or after it
27. rules          one file a venue, each a RuleSet of the parts above
28. deleveraging   one round: fills, skipped candidates, leftovers
29. stress         what a move of the mark would leave for ADL
30. rating         ADL risk of a contract: seven inputs, two views, one level
31. publishing     ratings and lights, as the step leaves the book
32. ledger         event -> balanced postings
33. invariants     what holds after every step
34. positions      absolute balances and positions, outstanding fills on top
35. packing        columns -> a command in columns
36. bulk           the same in columns, for millions of rows
37. intake         command -> events, or a refusal that names field and value
38. notices        who must be told
39. engine         step(book, command) -> events: the cycle on one screen
40. explanation    why me, and why not me
41. what_if        what one change would make of a place in line
"""
