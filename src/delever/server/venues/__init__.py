"""The venues' APIs: each venue's REST paths and WebSocket streams, answered from this engine.

Read in this order:

    symbols           the symbol of a contract at each venue
    amounts           the engine's integers as the decimal text that venues print
    account_reader    one account with every contract's mark, read from the book in one call
    fill_log          ADL fills and takeovers by account
    broadcast_timer   a push every second while anybody is subscribed
    binance/          USDⓈ-M, COIN-M and portfolio margin
    bybit/            V5
    okx/              V5

In each venue's package, `payloads` builds the venue's JSON and `rest` lists its routes.
"""
