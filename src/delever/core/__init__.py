"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units          Cash, Lots, Ticks; text <-> integer; every division of money
 2. messages       every command, event and reason; nothing else crosses a boundary
 3. contracts      linear and inverse terms, margin tiers, value <-> price
 4. rolling        the exact peak and mean of a step function over a window of time
 5. columns        accounts, wallets and lanes as arrays
 6. holdings       what the book keeps for each asset, contract and pool
 7. book           the one mutable object; apply(event) is its only mutation
 8. valuation      equity, margin, leverage and return for a whole lane at once
 9. bankruptcy     bankruptcy price, takeover, what is left over or missing
10. liquidation    managed pools: who must be taken over
11. insurance      inventory, cover, profit per contract, funding
12. triggers       when ADL starts and when it stops
13. ranking        score -> queue, lights, quantity ahead
14. policies       who stands in line, and with what weight
15. allocation     tiers -> exact lots
16. pricing        the price at which ADL closes
17. skips          who in line is passed over
18. socialising    what happens instead of a queue, or after it
19. rules          one file a venue, each a RuleSet of the parts above
20. deleveraging   one round: fills, skipped candidates, leftovers
21. ledger         event -> balanced postings
22. invariants     what holds after every step
23. reading        the numbers of a command, exactly
24. positions      absolute balances and positions, outstanding fills on top
25. intake         command -> events, or a refusal that names field and value
26. notices        who must be told
27. engine         step(book, command) -> events: the cycle on one screen
28. explanation    why me, why not me, and what if
"""
