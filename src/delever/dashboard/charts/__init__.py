"""ECharts options, in reading order; nothing here sends requests or knows NiceGUI.

time_series       step lines over time, in charts with one time axis and cursor
sparkline         a small line without axes
bars              bars and the stress curve
loss_sankey       where the loss of an ADL event went
contract_history  a contract and its insurance fund over a range
pool_history      an insurance fund's balance, equity and drawdown
timeline_charts   timelines with a movable cursor
watch_history     what `delever watch` has recorded of a contract
"""
