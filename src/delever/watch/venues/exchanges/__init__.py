"""Exchanges whose private data requires an API key; they publish the indicator of a position.

Read in this order:

    positions   a ccxt position as an observation
    binance     USDⓈ-M and COIN-M
    bybit       linear and inverse
    okx         swaps and futures
"""
