"""Where the pages get their data, in reading order.

asgi_transport  requests to a server in this process, with streamed responses
api_client      typed client of the native API
event_stream    the server's event stream, resumed when it breaks
timeline        contracts, insurance funds and fills over time
lab_runs        runs of a scenario under several rule sets
"""
