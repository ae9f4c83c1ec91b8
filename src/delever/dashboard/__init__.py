"""The page: what people look at before they read, fed by the native API and by nothing else.

    answers     what the native API says, as far as the page shows it
    source      asks it, over HTTP or inside one process
    shown       numbers, times and states as text
    charts      what is drawn, as options of ECharts
    tables      rows with sorting, lights, links and exact numbers
    frame       what every page has: navigation, search, keys, theme, the age of its data
    ladder      the queue of one side, page by page
    actions     what an operator may do, with a typed confirmation and a reason
    laboratory  a scenario under several rule sets, for the page `lab`
    pages/      one file a page
    app         all of it as one ASGI app, beside the server or apart from it
    watch_rows  what `delever watch` knows, as rows and lines
    watching    its page, pages/watch, served beside its loop
    mount       the same, loaded when somebody first looks

Nothing here decides anything: rank, light, explanation and what-if come from the server's engine,
or from the watch.
"""
