// A platform that runs under load while its Prometheus watches.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT } from "./browser.mjs";
import { read } from "./customer.mjs";

const PORT_BASE = 18400;
const PROMETHEUS = `127.0.0.1:${PORT_BASE + 9}`;
const ENDPOINTS = join(ROOT, "out/pictures/up.json");
const RATE = 8; // Orders a second, which a small machine answers in time.
const LOAD_SECONDS = 390; // The picture begins after half a minute, and ends within the last one.
const PICTURED_SECONDS = 300;
const START_SECONDS = 180;
const STOP_SECONDS = 60;
const POLL_MILLISECONDS = 200;
const LOAD_INVALID = 3; // The generator was late: its own latencies are worth nothing, what Prometheus saw is true.

/** Start a platform and put load on it; call `use` with Prometheus' address and the last minutes; stop it. */
export async function withLoadedPlatform(use) {
  rmSync(ENDPOINTS, { force: true });
  const up = plumb("up", "--prometheus", "--replicas", 1, "--port-base", PORT_BASE, "--endpoints", ENDPOINTS);
  try {
    await untilItRuns(up);
    await loaded();
    // It ends between two minutes, so that no time is written at the edge of a chart.
    const toSeconds = Math.floor((now() - 30) / 60) * 60 + 30;
    await use(PROMETHEUS, { fromSeconds: toSeconds - PICTURED_SECONDS, toSeconds });
  } finally {
    up.kill("SIGTERM");
    await ended(up);
  }
}

/** Order, and read, for the time of the load. */
async function loaded() {
  const { edge_http: edge } = JSON.parse(readFileSync(ENDPOINTS));
  const load = plumb("load", "--rate", RATE, "--duration", LOAD_SECONDS, "--endpoints", ENDPOINTS);
  const stopped = new AbortController();
  const ordering = once(load, "exit").finally(() => stopped.abort());
  try {
    const [[status]] = await Promise.all([ordering, read(edge, stopped.signal)]);
    if (status !== 0 && status !== LOAD_INVALID) throw new Error(`plumb load ended with ${status}`);
  } finally {
    load.kill("SIGTERM");
  }
}

/** Start a command, which is stopped with this process at the latest. */
function plumb(...words) {
  const command = spawn(".venv/bin/plumb", words.map(String), { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  const stop = () => command.kill("SIGTERM");
  process.once("exit", stop);
  command.once("exit", () => process.off("exit", stop));
  return command;
}

/** `plumb up` writes its addresses when everything runs, Prometheus as well. */
async function untilItRuns(up) {
  const deadline = now() + START_SECONDS;
  while (!existsSync(ENDPOINTS)) {
    if (up.exitCode !== null) throw new Error(`plumb up ended with ${up.exitCode}`);
    if (now() > deadline) throw new Error(`plumb up was not ready after ${START_SECONDS} s`);
    await pause(POLL_MILLISECONDS);
  }
}

async function ended(up) {
  if (up.exitCode !== null || up.signalCode !== null) return;
  const killed = setTimeout(() => up.kill("SIGKILL"), STOP_SECONDS * 1000);
  await once(up, "exit");
  clearTimeout(killed);
}

function now() {
  return Date.now() / 1000;
}
