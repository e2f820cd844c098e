"""The documentation of a service as one page, made of its OpenAPI description, without script and network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment

from isogloss.interop.serve.limits import Limits
from isogloss.interop.serve.messages import EXAMPLE
from isogloss.runtime.visible import json_line

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.5 ui-monospace, monospace; background: #8882; border-radius: 4px; }
code { padding: 0 .3em; } pre { padding: .8em; overflow-x: auto; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top; padding: .2em 1em .2em 0; }
:root { color-scheme: light dark; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>Version {{ version }}. The same for programs: <a href="openapi.json">openapi.json</a>.</p>
<pre>curl -s {{ address }}/predict -H 'Content-Type: application/json'
{%- if token %} -H "Authorization: Bearer $TOKEN"{% endif %} -d '{{ example }}'</pre>
{% for operation in operations %}
<h2><code>{{ operation.method }} {{ operation.path }}</code></h2>
<p>{{ operation.summary }}</p>
{% for part in operation.parts %}
<h3>{{ part.title }}</h3>
<table>
{% for name, kind, text in part.fields %}<tr><td><code>{{ name }}</code></td><td>{{ kind }}</td><td>{{ text }}</td></tr>
{% endfor %}</table>
{% endfor %}
<table>
{% for status, text in operation.statuses %}<tr><td>{{ status }}</td><td>{{ text }}</td></tr>
{% endfor %}</table>
{% endfor %}
<h2>Limits</h2>
<table>
{% for name, value, text in limits %}<tr><td><code>{{ name }}</code></td><td>{{ value }}</td><td>{{ text }}</td></tr>
{% endfor %}</table>
</body>
</html>
"""


def page(description: Mapping[str, Any], limits: Limits, *, token: bool) -> str:
    """The page.

    Args:
        description: of the service, as OpenAPI has it.
        limits: of the service.
        token: whether requests need one.
    """
    rows = [
        (name, f"{getattr(limits, name):,g}", field.description or "") for name, field in Limits.model_fields.items()
    ]
    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    return template.render(
        title=description["info"]["title"], version=description["info"]["version"], address="http://127.0.0.1:8000",
        example=json_line(EXAMPLE, ascii_only=True), token=token, operations=list(_operations(description)),
        limits=rows,
    )  # fmt: skip


def _operations(description: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts = [("Request", operation.get("requestBody")), ("Answer", operation["responses"].get("200"))]
            yield {
                "method": method.upper(), "path": path, "summary": operation.get("description", ""),
                "parts": [
                    {"title": title, "fields": fields}
                    for title, part in parts
                    if part is not None and (fields := list(_fields(part, description)))
                ],
                "statuses": [(status, said["description"]) for status, said in operation["responses"].items()],
            }  # fmt: skip


def _fields(part: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The fields of a body, with those of the list that it holds."""
    schema = part.get("content", {}).get("application/json", {}).get("schema", {})
    for name, field in _looked_up(schema, description).get("properties", {}).items():
        yield name, _kind(field), field.get("description", "")
        inner = _looked_up(field.get("items", {}), description)
        for below, of_it in inner.get("properties", {}).items():
            yield f"{name}[].{below}", _kind(of_it), of_it.get("description", "")


def _looked_up(schema: Mapping[str, Any], description: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    known: Mapping[str, Any] = description.get("components", {}).get("schemas", {}).get(name, schema)
    return known


def _kind(field: Mapping[str, Any]) -> str:
    kinds = [field, *field.get("anyOf", [])]
    return " or ".join(str(kind["type"]) for kind in kinds if "type" in kind)
