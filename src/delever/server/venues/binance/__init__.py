"""The Binance-compatible API: USDⓈ-M (fapi), COIN-M (dapi) and portfolio margin (papi).

Read in this order:

    payloads           errors, signatures and the JSON of public market data
    account_payloads   the JSON of one account: quantiles, positions, forced orders, stream events
    rate_limits        request weights, 429 and bans with 418
    authentication     API keys, signatures and request parameters
    markets            public endpoints, encoded once a market snapshot
    account            private endpoints of one account
    streams            listen keys and the user data stream
    rest               the routes

docs/reference/binance.md lists the endpoints and their differences from Binance's.
"""
