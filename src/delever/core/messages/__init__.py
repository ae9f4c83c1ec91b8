"""Every command, event and reason. Nothing else crosses the engine's boundary.

Commands speak decimal text ("0.001"), as venues do; events speak exact integers, because they are
what the book applies and the journal keeps. The same types are the NDJSON of a scenario, the
records of the journal and the schema of the API.

Integers carry their unit in the name: `_cash` (10^-8 of the settle asset unless the asset says
otherwise), `_lots`, `_ticks`, `_ppm` (parts per million), `_ms` (engine time since the epoch).
Costs and values are signed like the position: linear long positive, linear short negative, inverse
the other way round, so that profit is always value minus cost.
"""

from delever.core.messages.commands import *
from delever.core.messages.enums import *
from delever.core.messages.events import *
from delever.core.messages.risk_ratings import *
from delever.core.messages.snapshot_events import *
