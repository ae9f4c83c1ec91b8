"""The venues' APIs: what clients of Binance, Bybit and OKX send, answered out of this engine.

fills       what an account lost to ADL and to takeovers, newest kept in memory
binance     USDⓈ-M, COIN-M and portfolio margin
bybit       V5
okx         V5
"""
