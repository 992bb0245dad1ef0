"""Hooks for what JSON Schema cannot express: existing and distinct SKUs, the caller's own list, a valid token.

Only cases meant to be valid are mended; what is meant to be refused goes out as it is.
"""

from typing import Any

import schemathesis

from tests.e2e.customers import CUSTOMER
from tests.e2e.stock import PLENTY

# The consistency token of each answer, and the order that it came with.
given: dict[Any, str] = {}
BEGINNING_OF_TOKEN = "WyI"  # what a JSON list that begins with a text looks like in base64


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], **_: Any) -> None:
    """Make the SKUs of a valid order distinct, and the list that is read the caller's own."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict) and isinstance(lines := case.body.get("lines"), list):
        distinct: dict[Any, Any] = {line["sku"]: line for line in lines if isinstance(line, dict)}
        case.body["lines"] = list(distinct.values())
    if case.path == "/stock-hints" and len(case.query.get("sku", ())) == 1:
        case.query["sku"] = [PLENTY[0]]
    if "customer_id" in case.path_parameters:
        case.path_parameters["customer_id"] = CUSTOMER
        # An opaque token cannot be invented: only one that a page gave, and a link carried here, stays.
        if not str(case.query.get("page_token", "")).startswith(BEGINNING_OF_TOKEN):
            case.query.pop("page_token", None)
    if "consistency_token" in (case.query or {}):
        order_id = given.get(case.query["consistency_token"])
        if order_id is None or case.path_parameters.get("order_id", order_id) != order_id:
            del case.query["consistency_token"]


@schemathesis.hook
def after_call(
    _context: schemathesis.HookContext, _case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    """Remember the token that an order came with."""
    for token in response.headers.get("consistency-token", ()):
        given[token] = response.json()["order_id"]
