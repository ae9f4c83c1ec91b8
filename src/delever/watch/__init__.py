"""Watch the ADL risk of real accounts at exchanges and on-chain venues: `delever watch`.

Read in this order:

    market_data/   observations of the venues, one indicator scale, and source failures
    settings       the TOML file
    alerts/        contract status, alert rules, delivery to mail, webhook and chat
    screen/        the view that tables, JSON and pages display; advice; plots
    venues/        adapters of Binance, Bybit, OKX, Hyperliquid and dYdX over ccxt and pybit
    poller         poll a venue's sources and listen to its streams
    store          history, active alerts and deliveries in SQLite
    watch_loop     the loop
"""
