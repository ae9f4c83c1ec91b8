"""Watch the risk of ADL on venues' real accounts: `delever watch`.

Read it in this order:

 1. scale      every venue's indicators and risk words on one scale
 2. reading    what a venue has said, and how old it is against the venue's own cadence
 3. faults     what can go wrong between a venue and here, as states
 4. budget     when each source may be asked again, and what asking has cost
 5. settings   the TOML file
 6. venues     Binance, Bybit and OKX through ccxt, ccxt.pro and pybit
 7. state      calm, watch, adl, stopped, stale
 8. rules      which of the rules for alerts hold
 9. advice     what one change would make of a position's score
10. store      history, alerts and deliveries in SQLite
11. alerts     mail, webhook and chat
12. view       everything at one moment: what tables, JSON and pages show
13. run        the loop
"""
