"""Where the pages get their data, in reading order.

asgi_transport  requests to a server in this process, with streamed responses
api_client      typed client of the native API
event_stream    the server's event stream, resumed when it breaks
timeline        contracts, insurance funds and fills over time
incidents       the ADL of one contract by all of its triggers
episode_loss    where the loss of an ADL event went, in money
episode_files   an ADL event as JSON, CSV, Parquet and a workbook
lab_runs        runs of a scenario under several rule sets
"""
