"""The native API /v1, on Litestar; read in the direction in which data flows.

    paths       names with a slash in a path, and HEAD
    errors      one envelope for everything that goes wrong
    access      who asks, and what their roles allow
    decoding    commands out of JSON, NDJSON and Arrow, or the line and field that are wrong
    naming      what a new name may be
    sight       whose names a caller is told
    written     the book's integers as this API writes them
    commands    in: one command, many, or a table of positions
    market      out: contracts, ratings, queues, pools as they stand
    accounts    out: one account, why it stands where it stands, and what if
    events      out: the journal's events, page by page
    feed        out: the same as they happen, over Server-Sent Events and WebSocket
    rules       out: the rule sets, with their sources
    service     out: health, readiness, status
    openapi     the document of all this, and a page to try it from
    app         all of it put together

What is answered are the types of wire/native*.py; commands and events are the core's own. Money,
prices and quantities are exact decimals as text; times are milliseconds.
"""
