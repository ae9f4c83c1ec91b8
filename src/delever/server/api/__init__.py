"""The native API /v1 on Litestar, in reading order.

 1. requests       errors, authorization, masking and decoding, before a route runs
 2. formatting     integers of the book as text of this API
 3. commands       in: one command, or many
 4. arrow          in: tables of positions and balances
 5. market         out: contracts, ratings, queues, insurance funds
 6. accounts       out: accounts, explanations, what-ifs, deliveries of notices
 7. history        out: insurance funds and contracts over time
 8. adl            out: the history of ADL in episodes, rounds and fills
 9. event_stream   the feed of records for streams
10. events         out: the events of the journal, page by page or as a stream
11. rules          out: the rule sets with their sources
12. health         out: health, readiness and status
13. openapi        the OpenAPI document
14. explorer       a plain HTML page made from the document
15. app            all of it as one ASGI app

Responses are the types of `delever.api_types`; commands and events are the core's own messages.
"""
