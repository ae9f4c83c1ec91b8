"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units       Cash, Lots, Ticks, Ppm; text <-> integer; every division of money
 2. messages    commands, events, enums and reasons; nothing else crosses a boundary
 3. kernels     work on whole columns: a plain twin and a compiled one
 4. market      contract terms, margin tiers, trigger limits, rolling windows, validation
 5. book        tables of accounts and positions; Book.apply(event) is the only mutation
 6. accounting  event -> balanced postings; the invariants after every step
 7. valuation   equity, margin ratio, leverage; bankruptcy price; fund equity and contract PnL
 8. rules       ranking, triggers, ADL price, eligibility, policies, allocation, venues
 9. intake      command -> events, or a rejection that names field and value
10. execution   one ADL round: fills, skipped counterparties, leftovers; notices
11. risk        stress curve, ADL risk rating, publication of indicators
12. engine      step(book, command) -> events: the cycle on one screen
13. explain     why me, why not me, and what one change would make of it
"""
