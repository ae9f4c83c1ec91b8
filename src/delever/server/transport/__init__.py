"""HTTP and WebSocket transport, in reading order.

1. asgi          requests and replies on bare ASGI
2. api_keys      API keys, roles and signatures
3. rate_limits   rate limits and bans
4. api_limits    the rate limit of the native API, by key or address
5. websockets    sockets, topics and slow subscribers
6. router        the first ASGI layer: venue APIs, mounted apps, native API
7. http_protocol  HTTP connections with bounds of addresses, headers and time
8. browser_protection  headers of the dashboard, and requests of other sites
"""
