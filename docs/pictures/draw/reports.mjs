// Pictures of the report of the demo, and of the report of an experiment.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT, savePictures } from "./browser.mjs";

const FOLDER = join(ROOT, "out/pictures");
const WIDTH = 932; // The reports have a margin of 16 on both sides.
const SCALE = 1.5; // Text stays sharp on dense screens.
const EXPERIMENT = "n_plus_one";

/** Run the demo and picture its head, the latencies, and the trace of a typical order. */
export async function drawDemo(browser) {
  const folder = join(FOLDER, "demo");
  plumb("demo", "--no-lab", "--output", folder);
  await drawReport(browser, join(folder, "report.html"), { name: "demo-report", made: "plumb demo", kept: [0, 3] });
}

/** Run an experiment and picture its head, the diagnosis, the latencies before and after, and the prediction. */
export async function drawExperiment(browser) {
  const folder = join(FOLDER, "experiment");
  rmSync(folder, { recursive: true, force: true });
  plumb("lab", "run", EXPERIMENT, "--glance", "--output", folder);
  const [trial] = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const path = join(folder, trial.name, "report.html");
  await drawReport(browser, path, { name: "lab-report", made: `plumb lab run ${EXPERIMENT}`, kept: [0, 1, 2] });
}

function plumb(...words) {
  const ended = spawnSync(".venv/bin/plumb", words, { cwd: ROOT, stdio: "inherit" });
  if (ended.status !== 0) throw new Error(`plumb ${words[0]} ended with ${ended.status ?? ended.signal}`);
}

/** Picture a report that does not warn; it is several screens long, so only the sections `kept`, counted from 0. */
async function drawReport(browser, path, { name, made, kept }) {
  await savePictures(browser, {
    name,
    url: pathToFileURL(path).href,
    width: WIDTH,
    scale: SCALE,
    selector: "main",
    prepare: async (page) => {
      const warnings = await page.locator("section.warning h2").allTextContents();
      if (warnings.length) {
        throw new Error(`the report of ${made} warns: ${warnings.join("; ")}. Draw it again on an idle machine.`);
      }
      await page.evaluate(shorten, { made, kept });
    },
  });
}

/** In the page: keep some sections and one trace, and say below them what drew the picture. */
function shorten({ made, kept }) {
  document.querySelectorAll("main > section").forEach((section, at) => kept.includes(at) || section.remove());
  const [, ...others] = document.querySelectorAll("section > h3[id^=trace]");
  for (const heading of others) {
    while (heading.nextSibling) heading.nextSibling.remove();
    heading.remove();
  }
  document.querySelector("main > footer").textContent = `Parts of the report of ${made}, drawn by Chromium.`;
  document.querySelector("main").style.padding = "16px";
}
