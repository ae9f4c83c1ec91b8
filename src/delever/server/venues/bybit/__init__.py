"""The Bybit-compatible V5 API.

Read in this order:

    payloads           errors, envelopes and the JSON of public data and of stream messages
    account_payloads   the JSON of one account: positions, executions, orders, wallet
    authentication     rate limits by address and key, and signatures
    markets            adlAlert and insurance pools, and their encoded REST results
    account            one account's rows from the book
    private_streams    private topics: the effect of ADL on one account
    streams            connections, subscriptions and public topics
    rest               the routes

docs/reference/bybit.md lists the endpoints and their differences from Bybit's.
"""
