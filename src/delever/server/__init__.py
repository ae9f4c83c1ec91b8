"""What a venue runs: the engine behind HTTP and WebSocket.

    runner      the single writer: engine, journal and the only clock, on a thread of its own
    writer      the runner's half on that thread: commits, ids run once, the board
    claim       one process writes a journal at a time
    board       what readers see: immutable numbers of the whole market
    account     one account's positions and wallets, read from the book
    keys        who asks: API keys, roles, and signatures over raw bytes
    limits      how much one address or key may ask
    http        requests and replies of the venue APIs, on bare ASGI
    sockets     subscribers, topics, and what happens to a slow one
    front       the first ASGI layer: venue paths are answered here, the rest goes on
    venues/     the Binance-, Bybit- and OKX-compatible APIs: wire/ behind the front
    native/     the native API /v1 on Litestar, with OpenAPI
    database    the SQL database beside the journal; migrations/ make its tables
    history/    queries of the past, SQLite or PostgreSQL
    notify/     outbox, mail, webhooks
    metrics     Prometheus
    logs        structured log lines, without secrets
    demo        the crash of the demonstration, played in real time
    app         all of it put together

Nobody but the runner changes the book; nothing but the runner's clock says what time it is.
"""
