"""Commands, events and reasons: nothing else crosses the engine's boundary.

 1. enums            sides, kinds, risk levels, and the reason of every decision
 2. commands         what a venue submits
 3. risk_ratings     ADL risk ratings and the digest of published indicators
 4. snapshot_events  the events of accounts, balances, positions, marks and depth
 5. events           all other events, and the union of all of them
 6. fill_batch       the fills of one round as columns

Commands carry decimal text ("0.001"), as venue APIs do; events carry exact integers, because the
book applies them and the journal stores them. The same types are the NDJSON of a scenario, the
records of the journal and the schema of the API.

The name of an integer ends in its unit: `_cash` (the settle asset's smallest unit, 10^-8 unless the
asset defines another), `_lots`, `_ticks`, `_ppm` (parts per million), `_ms` (engine time since the
epoch). Costs and values are signed like the position: positive for linear long and inverse short,
negative for the others, so that PnL is always value minus cost.
"""

from delever.core.messages.commands import *
from delever.core.messages.enums import *
from delever.core.messages.events import *
from delever.core.messages.risk_ratings import *
from delever.core.messages.snapshot_events import *
