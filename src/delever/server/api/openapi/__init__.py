"""The OpenAPI document, and a page to try the API.

1. document   the document that Litestar writes, completed
2. explorer   a plain HTML page made from the document
"""
