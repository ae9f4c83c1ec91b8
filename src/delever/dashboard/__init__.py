"""The dashboard: pages over the native API, and the page of `delever watch`.

Pages decide nothing: ranks, ADL indicators, explanations and what-ifs come from the server's
engine, or from the watch. Packages and modules, in reading order:

mount       the dashboard beside the server, imported with its first request
format      times, states and triggers as text and HTML
data        where the pages get their data: API, event stream, runs of the lab
charts      ECharts options
components  parts of pages: frame, tables, operator actions, scrubber
pages       the pages, one a file
apps        the pages as ASGI apps
"""
