// Pictures of dashboards: their own JSON and live data, drawn by the components that Grafana is made of.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { ROOT, savePictures } from "./browser.mjs";
import { withLoadedPlatform } from "./platform.mjs";
import { answersOf } from "./prometheus.mjs";

const WIDTH = 1200;
const STEP_SECONDS = 5;
const PAGE = new URL("page/dashboard.html", import.meta.url);
const SCRIPT = fileURLToPath(new URL("page/dashboard.jsx", import.meta.url));
const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));

// The rows of each dashboard that are drawn; "Logs and traces" would need Loki and Jaeger. On one machine the replica is
// so close behind that hardly a read waits for it.
const DASHBOARDS = [
  { name: "overview", file: "grafana/dashboards/shop-overview.json", rows: ["SLO", "Rate", "Duration"] },
  {
    name: "dependencies",
    file: "grafana/dashboards/shop-dependencies.json", rows: ["Rate", "Duration"],
    without: ["Wait for a replica, p95"],
  },
];

/** Run the platform under load, and draw the dashboards from what Prometheus saw of it. */
export async function drawDashboards(browser) {
  const script = await bundle();
  await withLoadedPlatform(async (prometheus, range) => {
    for (const dashboard of DASHBOARDS) {
      await drawDashboard(browser, script, prometheus, { ...range, stepSeconds: STEP_SECONDS }, dashboard);
    }
  });
}

/** Draw some rows of one dashboard; an empty panel is an error. */
async function drawDashboard(browser, script, prometheus, range, { name, file, rows, without = [] }) {
  const dashboard = JSON.parse(readFileSync(join(ROOT, file)));
  const panels = panelsOf(dashboard, rows).filter(({ title }) => !without.includes(title));
  const answers = await answersOf(prometheus, dashboard, panels, range);
  const empty = panels.filter(({ id, type }) => type !== "row" && !answers[id].some(hasNumber));
  if (empty.length) throw new Error(`${name}: no data for ${empty.map(({ title }) => title).join(", ")}`);
  const minutes = Math.round((range.toSeconds - range.fromSeconds) / 60);
  const caption =
    `The rows ${rows.join(", ")} of ${file}${without.map((title) => `, except ${title},`).join("")} ` +
    `with ${minutes} minutes of live data of plumb up under load, ` +
    `drawn by @grafana/ui ${dependencies["@grafana/ui"]} and not by Grafana, which may differ.`;
  const { title, description } = dashboard;
  await savePictures(browser, {
    name,
    url: PAGE.href,
    width: WIDTH + 2 * 16,
    scale: 1,
    selector: "#dashboard",
    prepare: async (page, mode) => {
      await page.addStyleTag({ content: script.css });
      await page.addScriptTag({ content: script.js });
      const drawing = { title, description, panels, answers, range, mode, width: WIDTH, caption };
      await page.evaluate((all) => window.drawDashboard(all), drawing);
      await page.waitForFunction(isDrawn, panels.filter(({ type }) => type === "timeseries").length);
    },
  });
}

/** Does a result have a number? The quantile of a histogram in which nothing was counted is NaN. */
function hasNumber(result) {
  return result.some(({ value, values = [value] }) => values.some(([, number]) => number !== "NaN"));
}

/** The panels of some rows, moved up over the rows between them. */
function panelsOf(dashboard, rows) {
  const kept = [];
  let [isKept, above, left] = [false, 0, 0];
  for (const panel of dashboard.panels) {
    if (panel.type === "row") {
      // `left` is the height that was left out above, up to this row.
      const begin = panel.gridPos.y;
      if (!isKept) left += begin - above;
      [isKept, above] = [rows.includes(panel.title), begin];
    }
    if (isKept) kept.push({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y - left } });
  }
  return kept;
}

/** In the page: does each chart have its lines? */
function isDrawn(charts) {
  return document.querySelectorAll(".timeseries-panel .u-over").length === charts;
}

/** The page's program and style, each in one piece. */
async function bundle() {
  const { outputFiles } = await build({
    entryPoints: [SCRIPT],
    bundle: true,
    write: false,
    outdir: "bundle",
    format: "iife",
    jsx: "automatic",
    minify: true,
    alias: { "react-custom-scrollbars-2": fileURLToPath(new URL("page/scrollbars.js", import.meta.url)) },
    define: { "process.env.NODE_ENV": '"production"', global: "window" },
    loader: { ".woff": "empty", ".woff2": "dataurl", ".ttf": "empty", ".svg": "dataurl" },
    logLevel: "error",
  });
  const text = (suffix) => outputFiles.find(({ path }) => path.endsWith(suffix)).text;
  return { js: text(".js"), css: text(".css") };
}
