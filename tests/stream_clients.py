"""Clients of WebSocket streams that wait as long as a busy machine needs."""

from functools import partial

import websockets
from websockets.sync import client

from waiting import PATIENCE_S

connect = partial(client.connect, open_timeout=PATIENCE_S)
connect_async = partial(websockets.connect, open_timeout=PATIENCE_S)
