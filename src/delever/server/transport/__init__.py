"""HTTP and WebSocket transport, in reading order.

1. asgi          requests and replies on bare ASGI
2. api_keys      API keys, roles and signatures
3. rate_limits   rate limits and bans
4. websockets    sockets, topics and slow subscribers
5. router        the first ASGI layer: venue APIs, mounted apps, native API
"""
