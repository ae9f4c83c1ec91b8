"""Alerts: from observations to messages.

Read in this order:

    contract_status   calm, watch, adl, stopped or stale, for each contract
    alert_rules       which rules are active, and the alerts of a change
    delivery          mail, webhook and chat, with retries
"""
