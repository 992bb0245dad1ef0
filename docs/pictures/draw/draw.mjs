// Draw docs/pictures: `make pictures`, or one of its parts: `make pictures ARGS=demo`.
import { openBrowser } from "./browser.mjs";
import { drawDashboards } from "./dashboards.mjs";
import { drawDemo, drawExperiment } from "./reports.mjs";

const PARTS = { demo: drawDemo, experiment: drawExperiment, dashboards: drawDashboards };

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in PARTS));
if (unknown.length) {
  console.error(`make pictures: no part is called ${unknown.join(", ")}; the parts are ${Object.keys(PARTS).join(", ")}`);
  process.exit(2);
}
// What was started is stopped at the end of the process, whatever ends it.
for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]]) process.once(signal, () => process.exit(status));
const browser = await openBrowser();
try {
  for (const name of wanted.length ? wanted : Object.keys(PARTS)) await PARTS[name](browser);
} catch (error) {
  console.error(`make pictures: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
