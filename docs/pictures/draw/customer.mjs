// A customer who reads: `plumb load` only orders, and half of a dashboard would be empty.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const PAUSE_MILLISECONDS = 100;
const ANSWER_SECONDS = 10;
const FIRST_SKU = 10001;
const SKUS = 4070; // As many as the demand model of `plumb load` orders.
const SKUS_IN_SIGHT = 5;

/** Read stock, a new order and the list of orders in turn until `signal` is aborted. */
export async function read(edge, signal) {
  const customer = randomUUID();
  const paths = [stockHints, (turn) => placeOrder(edge, customer, turn), stockHints, () => `/customers/${customer}/orders`];
  for (let turn = 0; !signal.aborted; turn++) {
    await ask(edge, await paths[turn % paths.length](turn), { headers: { "X-Customer-Id": customer } });
    await pause(PAUSE_MILLISECONDS);
  }
}

function stockHints(turn) {
  // Some SKUs are looked at again soon, others not for long.
  const first = turn % 8 ? (turn % 40) * SKUS_IN_SIGHT : (turn * 7) % (SKUS - SKUS_IN_SIGHT);
  const skus = Array.from({ length: SKUS_IN_SIGHT }, (_, at) => `sku=${FIRST_SKU + first + at}`);
  return `/stock-hints?${skus.join("&")}`;
}

/** Place an order; return its path with its token, for which a replica may have to wait; the list's if it is rejected. */
async function placeOrder(edge, customer, turn) {
  const answer = await ask(edge, "/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Customer-Id": customer, "Idempotency-Key": randomUUID() },
    body: JSON.stringify({ lines: [{ sku: String(FIRST_SKU + (turn % SKUS)), quantity: 1 }] }),
  });
  const path = answer.headers.get("Location");
  return path ? `${path}?consistency_token=${answer.headers.get("Consistency-Token")}` : `/customers/${customer}/orders`;
}

async function ask(edge, path, request) {
  const answer = await fetch(`http://${edge}${path}`, { ...request, signal: AbortSignal.timeout(ANSWER_SECONDS * 1000) });
  await answer.arrayBuffer();
  return answer;
}
