// A customer who reads: `plumb load` only orders, and half of a dashboard would be empty.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const PAUSE_MILLISECONDS = 100;
const ANSWER_SECONDS = 10;
const FIRST_SKU = 10001;
const SKUS = 4070; // As many as the demand model of `plumb load` orders.
const SKUS_IN_SIGHT = 5;

/** Look at stock, at an order and at the list of orders by turns until `signal` is aborted. */
export async function read(edge, signal) {
  const customer = randomUUID();
  const order = await placeOrder(edge, customer);
  const paths = [stockHints, () => order, stockHints, () => `/customers/${customer}/orders`];
  for (let turn = 0; !signal.aborted; turn++) {
    await ask(edge, paths[turn % paths.length](turn), { headers: { "X-Customer-Id": customer } });
    await pause(PAUSE_MILLISECONDS);
  }
}

function stockHints(turn) {
  // Some SKUs are looked at again soon, others not for long.
  const first = turn % 8 ? (turn % 40) * SKUS_IN_SIGHT : (turn * 7) % (SKUS - SKUS_IN_SIGHT);
  const skus = Array.from({ length: SKUS_IN_SIGHT }, (_, at) => `sku=${FIRST_SKU + first + at}`);
  return `/stock-hints?${skus.join("&")}`;
}

/** Place an order; return its path. */
async function placeOrder(edge, customer) {
  const answer = await ask(edge, "/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Customer-Id": customer, "Idempotency-Key": randomUUID() },
    body: JSON.stringify({ lines: [{ sku: String(FIRST_SKU), quantity: 1 }] }),
  });
  return answer.headers.get("Location");
}

async function ask(edge, path, request) {
  const answer = await fetch(`http://${edge}${path}`, { ...request, signal: AbortSignal.timeout(ANSWER_SECONDS * 1000) });
  await answer.arrayBuffer();
  return answer;
}
