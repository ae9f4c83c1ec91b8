"""The Binance-compatible API: USDⓈ-M (fapi), COIN-M (dapi) and portfolio margin (papi).

Read in this order:

    payloads           errors, signatures and the JSON of public market data
    account_payloads   the JSON of one account: positions, balances, orders, trades, stream events
    authentication     request weights with 429 and 418, API keys, signatures, parameters
    markets            public endpoints, encoded once a market snapshot
    account            private endpoints of one account: quantiles, positions, balances, settings
    orders             private endpoints of orders: forced orders, trades, orders, income
    streams            listen keys and the user data stream
    rest               the routes

docs/reference/binance.md lists the endpoints and their differences from Binance's.
"""
