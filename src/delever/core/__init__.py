"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units          Cash, Lots, Ticks; text <-> integer; every division of money
 2. messages       every command, event and reason; nothing else crosses a boundary
 3. contracts      linear and inverse terms, margin tiers, value <-> price
 4. rolling        the exact peak of a step function over a window of time
 5. columns        accounts, wallets and lanes as arrays
 6. holdings       what the book keeps for each asset, contract and pool
 7. book           the one mutable object; apply(event) is its only mutation
 8. valuation      equity, margin, leverage and return for a whole lane at once
 9. bankruptcy     bankruptcy price, takeover, what is left over or missing
10. insurance      inventory, cover, profit per contract, funding
11. triggers       when ADL starts and when it stops
12. ranking        score -> queue, lights, quantity ahead
13. policies       who stands in line, and with what weight
14. allocation     tiers -> exact lots
15. pricing        the price at which ADL closes
16. rules          one file a venue, each a RuleSet of the parts above
17. deleveraging   one round: fills, skipped candidates, leftovers
18. ledger         event -> balanced postings
19. invariants     what holds after every step
20. reading        the numbers of a command, exactly
21. positions      absolute balances and positions, outstanding fills on top
22. intake         command -> events, or a refusal that names field and value
23. notices        who must be told
24. engine         step(book, command) -> events: the cycle on one screen
25. explanation    why me, why not me, and what if
"""
