// Validates resources of the Prometheus operator, a JSON array on standard input, and prints an array of faults.
//
// The validators are compiled from the operator's CustomResourceDefinitions. They let unknown fields pass, as the API
// server does, which drops them. But they look at each field that they know: what nothing looked at is unknown.
import { readFileSync } from "node:fs";
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";

const KINDS = { PodMonitor, PrometheusRule };
const faults = [];
for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${resource.kind} ${resource.metadata.name}`;
  const unread = new Set();
  try {
    KINDS[resource.kind].prototype.validate.call(watched(resource, "", unread));
    faults.push(...[...unread].map((path) => `${name}: ${path} is unknown`));
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
}
console.log(JSON.stringify(faults));

function watched(value, path, unread) {
  if (value === null || typeof value !== "object") return value;
  const children = Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, watched(child, `${path}/${key}`, unread)]),
  );
  if (!Array.isArray(value)) Object.keys(value).forEach((key) => unread.add(`${path}/${key}`));
  const target = Array.isArray(value) ? Object.values(children) : children;
  return new Proxy(target, {
    get(object, key) {
      unread.delete(`${path}/${String(key)}`);
      return object[key];
    },
  });
}
