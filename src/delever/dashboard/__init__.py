"""The page: what people look at before they read, fed by the native API and by nothing else.

    source      asks the native API, in its own types, over HTTP or inside one process
    inside      the same for a server in this process
    following   its stream of events, taken up again where it broke off
    past        a contract and its pool over time, over a range
    shown       numbers, times and states as text
    charts      what is drawn, as options of ECharts
    tables      rows with sorting, indicators, links and exact numbers
    frame       what every page has: navigation, search, keys, theme, the age of its data
    ladder      the queue of one side, page by page
    actions     what an operator may do, with a typed confirmation and a reason
    laboratory  a scenario under several rule sets, for the page `lab`
    pages/      one file a page
    app         all of it as one ASGI app, beside the server or apart from it
    watch_rows  what `delever watch` knows, as rows and lines
    watching    its page, pages/watch, served beside its loop
    mount       the same, loaded when somebody first looks

Nothing here decides anything: rank, indicator, explanation and what-if come from the server's engine,
or from the watch.
"""
