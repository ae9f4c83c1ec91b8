"""The OpenAPI document, and a page to try the API from that needs nothing from elsewhere."""

from importlib.metadata import version

from litestar.openapi.config import OpenAPIConfig


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(title="delever", version=version("delever"))
