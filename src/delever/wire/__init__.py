"""Other people's words: pure translation between the engine's numbers and venues' wire formats.

    names            how a contract is spelled at each venue
    amounts          the engine's integers as venues print them
    binance          USDⓈ-M, COIN-M and portfolio margin: refusals, signatures, markets
    binance_account  the same for one account: quantiles, positions, orders, events
    bybit            V5, what everybody may see: refusals, adlAlert, pools, contracts
    bybit_account    the same for one account
    okx              V5
    okx_bills        what ADL and liquidation did to one account at OKX
    native           the native API's own answers, as types: of contracts, queues and events
    native_accounts  the same of accounts
    native_past      the same of the past

No sockets, no clock, no book: values in, bytes out.
"""
