"""A page to try the API: plain HTML made from the OpenAPI document, without external resources."""

from html import escape
from importlib.resources import files
from typing import Any

Document = dict[str, Any]


def page(document: Document) -> str:
    """Return the page of a document."""
    frame = files("delever.server.api").joinpath("explorer.html").read_text("utf-8")
    operations = [
        _operation(path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    schemas = [_schema(name, each) for name, each in document["components"]["schemas"].items()]
    parts = {
        "TITLE": escape(f"{document['info']['title']} {document['info']['version']}"),
        "OPERATIONS": "\n".join(operations),
        "SCHEMAS": "\n".join(schemas),
    }
    for name, text in parts.items():
        frame = frame.replace(f"<!--{name}-->", text)
    return frame


def _operation(path: str, method: str, operation: Document) -> str:
    """Return one operation with a form to try it."""
    fields = [_parameter(item) for item in operation.get("parameters", [])]
    description = escape(operation.get("description", ""))
    return f"""<details class="operation"><summary><b>{method.upper()}</b>
<code>{escape(path)}</code> {escape(operation.get("summary", ""))}</summary><p>{description}</p>
<form data-method="{method.upper()}" data-path="{escape(path)}">{"".join(fields)}{_body(operation)}
<button>Send</button> <button type="button" class="stop">Stop</button></form>
<ul>{"".join(_response(*each) for each in operation["responses"].items())}</ul>
<pre class="answer" aria-live="polite"></pre></details>"""


def _parameter(parameter: Document) -> str:
    name, place = escape(parameter["name"]), escape(parameter["in"])
    schema = parameter.get("schema", {})
    required = " required" if parameter.get("required") else ""
    default = "" if schema.get("default") is None else escape(str(schema["default"]))
    return (
        f'<label>{name} <small>{place}, {_type(schema)}</small><input name="{name}" '
        f'data-in="{place}" placeholder="{default}"{required}></label>'
    )


def _body(operation: Document) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    areas = [
        f"<label>body <small>{escape(kind)}: {_type(each.get('schema', {}))}</small>"
        f'<textarea name="body" data-type="{escape(kind)}" rows="6"></textarea></label>'
        for kind, each in content.items()
    ]
    return "".join(areas)


def _response(code: str, response: Document) -> str:
    types = [_type(each.get("schema", {})) for each in response.get("content", {}).values()]
    return f"<li><b>{escape(code)}</b> {escape(response['description'])} {' '.join(types)}</li>"


def _schema(name: str, schema: Document) -> str:
    """Return one type: its description, and its fields or values."""
    rows = [
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(each)}</td></tr>"
        for field, each in schema.get("properties", {}).items()
    ]
    description = escape(schema.get("description", ""))
    values = f"<p>{_type(schema)}</p>" if "enum" in schema or not rows else ""
    return (
        f'<section id="{escape(name)}"><h3>{escape(name)}</h3><p>{description}</p>{values}'
        f"<table>{''.join(rows)}</table></section>"
    )


def _type(schema: Document) -> str:
    """Return a type as text, with a link to its description."""
    match schema:
        case {"$ref": ref}:
            name = escape(ref.rpartition("/")[2])
            return f'<a href="#{name}">{name}</a>'
        case {"anyOf": several} | {"oneOf": several}:
            return " or ".join(map(_type, several))
        case {"enum": values}:
            return " | ".join(escape(str(value)) for value in values)
        case {"type": "array", "items": dict(each)}:
            return f"list of {_type(each)}"
        case {"type": "object", "additionalProperties": dict(each)}:
            return f"object of {_type(each)}"
    kind = schema.get("type", "anything")
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))
