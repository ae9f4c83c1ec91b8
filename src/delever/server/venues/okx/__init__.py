"""The OKX-compatible V5 API.

Read in this order:

    payloads         errors, envelopes and the JSON of contracts, positions, funds and warnings
    authentication   rate limits by address and key, and signatures
    insurance_fund   the history of each contract's security fund
    bills            ADL fills and takeovers as account bills
    streams          the adl-warning channel
    rest             the routes

docs/reference/okx.md lists the endpoints and their differences from OKX's.
"""
