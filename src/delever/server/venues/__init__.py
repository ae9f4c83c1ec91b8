"""The venues' APIs: what their clients send, answered out of this engine.

    fills       what an account lost to ADL and to takeovers, newest kept in memory
    binance     USDⓈ-M, COIN-M and portfolio margin
    bybit       V5
    okx         V5

Translation is `wire/`'s; here are routes, keys, limits and sockets.
"""
