"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units          Cash, Lots, Ticks; text <-> integer; every division of money
 2. kernels        work on whole columns, in plain NumPy and compiled
 3. messages       every command, event and reason; nothing else crosses a boundary
 4. reading        the numbers of a command, exactly, or a refusal
 5. contracts      linear and inverse terms, margin tiers, value <-> price
 6. rolling        over a window of time: exact peak, exact mean, realised volatility
 7. columns        accounts and wallets as arrays
 8. row_index      where an account's position stands in its lane
 9. lanes          the positions of one contract and side as arrays
10. holdings       what the book keeps for each asset, contract and pool
11. book_state     what the book holds, looked up; the hash of what has changed
12. book           the one mutable object; apply(event) is its only mutation
13. valuation      equity, margin, leverage and return for a whole lane at once
14. bankruptcy     bankruptcy price, takeover, what is left over or missing
15. liquidation    managed pools: who must be taken over
16. insurance      inventory, cover, profit per contract, funding
17. triggers       when ADL starts and when it stops
18. ranking        score -> queue, lights, quantity ahead
19. policies       who stands in line, and with what weight
20. allocation     tiers -> exact lots
21. pricing        the price at which ADL closes
22. skips          who in line is passed over
23. socialising    what happens instead of a queue, or after it
24. rules          one file a venue, each a RuleSet of the parts above
25. deleveraging   one round: fills, skipped candidates, leftovers
26. stress         what a move of the mark would leave for ADL
27. rating         ADL risk of a contract: seven inputs, two views, one level
28. publishing     ratings and lights, as the step leaves the book
29. ledger         event -> balanced postings
30. invariants     what holds after every step
31. positions      absolute balances and positions, outstanding fills on top
32. bulk           the same in columns, for millions of rows
33. intake         command -> events, or a refusal that names field and value
34. notices        who must be told
35. engine         step(book, command) -> events: the cycle on one screen
36. explanation    why me, and why not me
37. what_if        what one change would make of a place in line
"""
