"""The server of a venue: the engine behind HTTP and WebSocket, in reading order.

1. engine          the single writer, its journal and clock, and the snapshots that readers see
2. transport       bare ASGI, API keys, rate limits, WebSockets, and the router of all paths
3. storage         the SQL database next to the journal: history
4. notifications   the outbox; notices by mail and webhook
5. observability   Prometheus metrics and logs without secrets
6. api             the native API /v1 on Litestar, with OpenAPI
7. venues          the Binance-, Bybit- and OKX-compatible APIs
8. app             the server assembled from all of them

Only the engine's runner changes the book, and the runner's clock is the only one.
"""
