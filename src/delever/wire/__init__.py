"""Other people's words: pure translation between the engine's numbers and venues' wire formats.

    names       how a contract is spelled at each venue
    binance     USDⓈ-M, COIN-M and portfolio margin: refusals, signatures, markets
    binance_account  the same for one account: quantiles, positions, orders, events
    bybit       V5
    okx         V5

No sockets, no clock, no book: values in, bytes out.
"""
