"""Responses of the native API as types, shared by server and dashboard.

1. market     commands, contracts, ratings, queues, pools, events, rule sets, service
2. accounts   accounts, explanations, what-ifs, deliveries
3. history    pools and contracts over time, episodes, rounds, fills

Money, prices and quantities are exact decimals as text, in units of the asset or the contract;
`_ppm` are parts per million, `_ms` milliseconds since the epoch. `as_of` is the sequence of the
book that was read. A field that does not apply is null.
"""
