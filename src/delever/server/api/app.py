"""The native API as one ASGI app."""

from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from delever.config import Config
from delever.server.api import (
    accounts,
    adl,
    arrow,
    commands,
    events,
    health,
    history,
    market,
    rules,
)
from delever.server.api.event_stream import EventFeed
from delever.server.api.openapi import openapi_config
from delever.server.api.requests.authorization import Authenticator
from delever.server.api.requests.dependencies import ApiServices
from delever.server.api.requests.errors import HANDLERS, check_encoding
from delever.server.api.requests.path_encoding import NativeApp, restore_slashes
from delever.server.engine.fill_explainer import FillExplainer
from delever.server.engine.runner import Runner
from delever.server.notifications.notifier import Notifier
from delever.server.storage.projector import HistoryProjector
from delever.server.storage.queries import HistoryQueries
from delever.server.transport.api_keys import Keyring

ROUTES: list[Any] = [
    *commands.ROUTES,
    *arrow.ROUTES,
    *market.ROUTES,
    *accounts.ROUTES,
    *history.ROUTES,
    *adl.ROUTES,
    *events.ROUTES,
    *rules.ROUTES,
    *health.ROUTES,
]


def native_app(
    runner: Runner,
    keyring: Keyring,
    config: Config,
    projector: HistoryProjector,
    notifier: Notifier,
) -> Litestar:
    """Return the app that serves /v1 and /schema; it listens to the runner from now on."""
    feed = EventFeed(runner)
    runner.listeners.append(feed.add)
    queries = HistoryQueries(projector.database)
    explainer = FillExplainer(runner)
    services = ApiServices(runner, config, feed, projector, queries, notifier, explainer)
    return NativeApp(
        ROUTES,
        before_request=check_encoding,
        middleware=[restore_slashes],
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        openapi_config=openapi_config(),
        request_max_body_size=config.listen.max_body_bytes,
        state=State(
            {
                "services": services,
                "authenticator": Authenticator.of(config, keyring, runner.now_ms),
            }
        ),
        logging_config=None,
    )
