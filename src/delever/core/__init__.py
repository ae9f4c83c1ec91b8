"""The engine, pure: no I/O, no clock, no randomness, no logging.

Read it in this order; a module imports only modules above it (a test enforces both).

 1. units       Cash, Lots, Ticks, Ppm; text <-> integer; every division of money
 2. messages    commands, events, enums and reasons; nothing else crosses a boundary
 3. kernels     work on whole columns: a plain twin and a compiled one
 4. market      contract terms, margin tiers, collateral, trigger limits, windows, validation
 5. book        tables of accounts and positions; Book.apply(event) is the only mutation
 6. accounting  event -> balanced postings; the invariants after every step
 7. valuation   equity, margin ratio, leverage; bankruptcy price; fund equity and contract PnL
 8. rules       ranking, eligibility, policies, triggers, ADL price, loss socialization, venues
 9. intake      command -> events, or a rejection with field, value and reason
10. execution   one ADL round: counterparties, fills, settlement; notices
11. risk        stress curve, ADL risk rating, publication of ratings and indicators
12. engine      step(book, command) -> events: the cycle on one screen
13. explain     a position's place in the queue, and what one change would make of it
"""
