"""Names of spans as templates, so that the spans of one operation have one name."""

from dataclasses import replace

from observability.analysis.conventions.operations import operation_of
from observability.analysis.spans import Attribute
from tests.each import for_each
from tests.unit.analysis.seeing import call

NAMES = {
    "/dispatch/123": "/dispatch/{id}",
    "GET /users/7f3c1b2a-1111-2222-3333-444455556666/orders": "GET /users/{id}/orders",
    "/documents/5f43a1b2c3d4e5f601020304": "/documents/{id}",
    "/payments/01ARZ3NDEKTSV4RRFFQ69G5FAV": "/payments/{id}",
    "order-1234": "order-{id}",
    "driver T712345C": "driver {id}",
    "key 'alice'": "key {id}",
    "mail someone@example.com": "mail {id}",
    "until 2026-11-30T10:20:30.123Z": "until {id}",
    "connect 10.0.0.1:8080": "connect {id}",
    "lock 0xdeadBEEF": "lock {id}",
    "HTTP GET /route?dropoff=1,2&pickup=3": "HTTP GET /route",
    "SELECT * FROM users WHERE id=5": "SELECT * FROM users WHERE id=?",
    "POST /v1/orders": "POST /v1/orders",
    "POST /api/2.0/runs/17": "POST /api/2.0/runs/{id}",
    "md5 s3 sha256 utf8": "md5 s3 sha256 utf8",
    "shop.v2.Orders/ListOrdersV2WithManyItems": "shop.v2.Orders/ListOrdersV2WithManyItems",
    "GET /orders/{order_id}": "GET /orders/{order_id}",
    "don't retry, don't wait": "don't retry, don't wait",
    "": "",
}
# HTTP spans that are named by their method alone.
BARE: list[tuple[str, dict[str, Attribute], str]] = [
    ("GET", {"http.route": "/users/{id}"}, "GET /users/{id}"),
    ("HTTP GET", {"http.url": "http://127.0.0.1:8081/customer?customer=123"}, "GET /customer"),
    ("HTTP GET", {"url.full": "https://example.com"}, "GET /"),
    ("http.request", {"http.method": "POST", "http.target": "/orders/17"}, "POST /orders/{id}"),
    ("POST", {}, "POST"),
]


@for_each(NAMES)
def test_a_name_becomes_a_template(name: str) -> None:
    assert operation_of(call(name, 0, 1).span) == NAMES[name]


@for_each(BARE)
def test_a_method_alone_gets_its_route(case: tuple[str, dict[str, Attribute], str]) -> None:
    name, attributes, wanted = case
    assert operation_of(replace(call(name, 0, 1).span, attributes=attributes)) == wanted
