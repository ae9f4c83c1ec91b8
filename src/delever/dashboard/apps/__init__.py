"""The ASGI apps of the dashboard and of the watch's page, in reading order.

serving       a listening socket, its URL, and the uvicorn server of an app
dashboard     the pages of a server, beside it or in a process of their own
watch_tables  what `delever watch` knows, as rows and banners
watch_page    the page of `delever watch`
watch         its app
"""
