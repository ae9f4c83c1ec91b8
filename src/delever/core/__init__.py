"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units          Cash, Lots, Ticks; text <-> integer; every division of money
 2. kernels        work on whole columns, in plain NumPy and compiled
 3. messages       every command, event and reason; nothing else crosses a boundary
 4. reading        the numbers of a command, exactly, or a refusal
 5. contracts      linear and inverse terms, margin tiers, value <-> price
 6. rolling        over a window of time: exact peak, exact mean, realised volatility
 7. row_index      where an account's position stands in its lane
 8. columns        accounts, wallets and lanes as arrays
 9. holdings       what the book keeps for each asset, contract and pool
10. book           the one mutable object; apply(event) is its only mutation
11. valuation      equity, margin, leverage and return for a whole lane at once
12. bankruptcy     bankruptcy price, takeover, what is left over or missing
13. liquidation    managed pools: who must be taken over
14. insurance      inventory, cover, profit per contract, funding
15. triggers       when ADL starts and when it stops
16. ranking        score -> queue, lights, quantity ahead
17. policies       who stands in line, and with what weight
18. allocation     tiers -> exact lots
19. pricing        the price at which ADL closes
20. skips          who in line is passed over
21. socialising    what happens instead of a queue, or after it
22. rules          one file a venue, each a RuleSet of the parts above
23. deleveraging   one round: fills, skipped candidates, leftovers
24. stress         what a move of the mark would leave for ADL
25. rating         ADL risk of a contract: seven inputs, two views, one level
26. publishing     ratings and lights, as the step leaves the book
27. ledger         event -> balanced postings
28. invariants     what holds after every step
29. positions      absolute balances and positions, outstanding fills on top
30. intake         command -> events, or a refusal that names field and value
31. notices        who must be told
32. engine         step(book, command) -> events: the cycle on one screen
33. explanation    why me, and why not me
34. what_if        what one change would make of a place in line
"""
