"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units          Cash, Lots, Ticks; text <-> integer; every division of money
 2. messages       every command, event and reason; nothing else crosses a boundary
 3. reading        the numbers of a command, exactly, or a refusal
 4. contracts      linear and inverse terms, margin tiers, value <-> price
 5. rolling        over a window of time: exact peak, exact mean, realised volatility
 6. columns        accounts, wallets and lanes as arrays
 7. holdings       what the book keeps for each asset, contract and pool
 8. book           the one mutable object; apply(event) is its only mutation
 9. valuation      equity, margin, leverage and return for a whole lane at once
10. bankruptcy     bankruptcy price, takeover, what is left over or missing
11. liquidation    managed pools: who must be taken over
12. insurance      inventory, cover, profit per contract, funding
13. triggers       when ADL starts and when it stops
14. ranking        score -> queue, lights, quantity ahead
15. policies       who stands in line, and with what weight
16. allocation     tiers -> exact lots
17. pricing        the price at which ADL closes
18. skips          who in line is passed over
19. socialising    what happens instead of a queue, or after it
20. rules          one file a venue, each a RuleSet of the parts above
21. deleveraging   one round: fills, skipped candidates, leftovers
22. stress         what a move of the mark would leave for ADL
23. rating         ADL risk of a contract: seven inputs, two views, one level
24. publishing     ratings and lights, as the step leaves the book
25. ledger         event -> balanced postings
26. invariants     what holds after every step
27. positions      absolute balances and positions, outstanding fills on top
28. intake         command -> events, or a refusal that names field and value
29. notices        who must be told
30. engine         step(book, command) -> events: the cycle on one screen
31. explanation    why me, and why not me
32. what_if        what one change would make of a place in line
"""
