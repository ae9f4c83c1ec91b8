"""ECharts options of the loss of an ADL event: deficit, how it was closed, who paid."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from delever.dashboard.charts.time_series import AMBER, BLUE, GRAY, RED, described
from delever.dashboard.data.episode_loss import (
    ADL,
    COUNTERPARTIES,
    FUND,
    OPEN,
    REMAINING,
    UNFUNDED,
    LossFlow,
)
from delever.dashboard.format import about

DEFICIT = "deficit"

_COLORS = {
    ADL: RED,
    FUND: BLUE,
    COUNTERPARTIES: RED,
    UNFUNDED: "#8b1d18",
    REMAINING: AMBER,
    OPEN: AMBER,
}


def loss_sankey(flows: Sequence[LossFlow], asset: str) -> dict[str, Any]:
    """Return the flows of losses as a Sankey diagram; gains have no width and are left out."""
    losses = [flow for flow in flows if flow.amount > 0]
    outlets = dict.fromkeys(flow.outlet for flow in losses)
    links = [
        _link(DEFICIT, outlet, [flow for flow in losses if flow.outlet == outlet], asset)
        for outlet in outlets
    ]
    links += [_link(flow.outlet, flow.payer, [flow], asset) for flow in losses]
    names = dict.fromkeys([DEFICIT, *outlets, *(flow.payer for flow in losses)])
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GRAY},
        "aria": described("deficit, how it was closed, and who paid"),
        "tooltip": {"trigger": "item"},
        "series": [
            {
                "type": "sankey",
                "left": 4,
                "right": 150,
                "top": 12,
                "bottom": 12,
                "nodeAlign": "justify",
                "draggable": False,
                "emphasis": {"focus": "adjacency"},
                "nodeGap": 22,
                "data": [_node(name, losses, asset) for name in names] if losses else [],
                "links": links,
                "lineStyle": {"color": "target", "opacity": 0.35},
            }
        ],
    }


def _node(name: str, losses: Sequence[LossFlow], asset: str) -> dict[str, Any]:
    parts = (flow.amount for flow in losses if name in {DEFICIT, flow.outlet, flow.payer})
    total = sum(parts, Decimal(0))
    text = f"{name}\n{about(total)} {asset}"
    label = {"color": GRAY, "fontSize": 12, "lineHeight": 15, "formatter": text}
    color = _COLORS.get(name, GRAY)
    return {"name": name, "itemStyle": {"color": color, "borderWidth": 0}, "label": label}


def _link(source: str, target: str, flows: Sequence[LossFlow], asset: str) -> dict[str, Any]:
    amount = sum(float(flow.amount) for flow in flows)
    tip = {"formatter": f"{source} → {target}: {amount:,.2f} {asset}"}
    return {"source": source, "target": target, "value": amount, "tooltip": tip}
