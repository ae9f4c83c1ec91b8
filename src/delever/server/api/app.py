"""The native API as one ASGI app."""

from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from delever.config import Config
from delever.server.api import accounts, adl, arrow, commands, events, market, rules
from delever.server.api import health as service
from delever.server.api import history as past
from delever.server.api.authorization import Gate
from delever.server.api.dependencies import Parts
from delever.server.api.errors import HANDLERS, check_encoding
from delever.server.api.event_stream import Feed
from delever.server.api.openapi import openapi_config
from delever.server.api.path_encoding import NativeApp, slashes_back
from delever.server.engine.service import Runner
from delever.server.notifications.notifier import Notifier
from delever.server.storage.projector import History
from delever.server.storage.queries import Past
from delever.server.transport.api_keys import Keyring

ROUTES: list[Any] = [
    *commands.ROUTES,
    *arrow.ROUTES,
    *market.ROUTES,
    *accounts.ROUTES,
    *past.ROUTES,
    *adl.ROUTES,
    *events.ROUTES,
    *rules.ROUTES,
    *service.ROUTES,
]


def native_app(
    runner: Runner, keyring: Keyring, config: Config, history: History, notifier: Notifier
) -> Litestar:
    """Return the app that answers /v1 and /schema; it follows the runner from now on."""
    feed = Feed(runner)
    runner.listeners.append(feed.tell)
    parts = Parts(runner, config, feed, history, Past(history.database), notifier)
    return NativeApp(
        ROUTES,
        before_request=check_encoding,
        middleware=[slashes_back],
        dependencies={"parts": Provide(lambda: parts, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        openapi_config=openapi_config(),
        request_max_body_size=config.listen.max_body_bytes,
        state=State({"parts": parts, "gate": Gate.of(config, keyring)}),
        logging_config=None,
    )
