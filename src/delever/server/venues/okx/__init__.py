"""The OKX-compatible V5 API.

Read in this order:

    payloads          errors, envelopes, and the JSON of contracts, accounts, funds and warnings
    authentication    rate limits by address and key, and signatures
    insurance_fund    the history of each contract's security fund
    account           one account's positions, balances and leverages from the book
    bills             ADL fills and takeovers as bills, fills and orders
    private_streams   the private channels of an account
    streams           sockets, logins, subscriptions, and the adl-warning channel
    rest              the routes

docs/reference/okx.md lists the endpoints and their differences from OKX's.
"""
