// Chromium without a window, and pictures of its pages as small PNG files.
import { accessSync, constants, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import sharp from "sharp";

const PICTURES = fileURLToPath(new URL("..", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const ARGUMENTS = [
  "--no-sandbox", // Every page that is opened is our own.
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const DRAWN_WITHIN_SECONDS = 120;
const COLOURS = 128;
const BYTES_AT_MOST = 250_000;

/** The root of the repository. */
export { ROOT };

/** Start the Chromium on PATH. */
export function openBrowser() {
  const found = process.env.PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const program = found.find(isExecutable);
  if (!program) throw new Error("no chromium on PATH (Debian: apt-get install chromium)");
  return chromium.launch({ executablePath: program, args: ARGUMENTS });
}

/**
 * Open a page in light and in dark, and save its element `selector` as docs/pictures/NAME-{light,dark}.png.
 * `prepare` is called with the page and "light" or "dark" first. The footer says what drew the picture.
 */
export async function savePictures(browser, { name, url, width, scale, selector, prepare }) {
  for (const colours of ["light", "dark"]) {
    const page = await browser.newPage({
      viewport: { width, height: 1000 },
      colorScheme: colours,
      deviceScaleFactor: scale,
    });
    page.setDefaultTimeout(DRAWN_WITHIN_SECONDS * 1000);
    const failures = [];
    page.on("pageerror", (error) => failures.push(error.message));
    await page.goto(url);
    try {
      await prepare(page, colours);
    } catch (error) {
      throw new Error([error.message, ...failures].join("; "));
    }
    const picture = page.locator(selector);
    const caption = await picture.locator("footer").innerText();
    const drawn = await picture.screenshot({ animations: "disabled" });
    if (failures.length) throw new Error(`${name}: ${failures.join("; ")}`);
    const small = await sharp(drawn)
      .png({ palette: true, colours: COLOURS, dither: 0, effort: 10 })
      .withExif({ IFD0: { ImageDescription: caption } })
      .toBuffer();
    if (small.length > BYTES_AT_MOST) throw new Error(`${name}-${colours}.png would have ${small.length} bytes`);
    writeFileSync(join(PICTURES, `${name}-${colours}.png`), small);
    console.log(`docs/pictures/${name}-${colours}.png  ${Math.round(small.length / 1000)} kB`);
    await page.close();
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
