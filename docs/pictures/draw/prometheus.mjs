// What the panels of a dashboard ask Prometheus, and its answers.

// The scrape interval in grafana/provisioning/datasources: no step is shorter, and a rate needs four of them.
const SCRAPE_SECONDS = 5;
const RATE_SECONDS = 4 * SCRAPE_SECONDS;
const SECONDS_AT_MOST = 30;

/** Run one query at one time; return its result. */
export function askNow(address, query) {
  return ask(address, "query", { query });
}

/** Return the results of the queries of each panel, by the panel's id; "All" is chosen in each variable. */
export async function answersOf(address, dashboard, panels, { fromSeconds, toSeconds, stepSeconds }) {
  const variables = Object.fromEntries(dashboard.templating.list.map(({ name, allValue }) => [name, allValue]));
  const filled = (expression) =>
    expression
      .replaceAll("$__rate_interval", `${RATE_SECONDS}s`)
      .replace(/\$(\w+)/g, (written, name) => variables[name] ?? written);
  const answers = {};
  for (const panel of panels) {
    answers[panel.id] = [];
    for (const target of panel.targets ?? []) {
      const query = filled(target.expr);
      const result = target.instant
        ? await ask(address, "query", { query, time: toSeconds })
        : await ask(address, "query_range", { query, start: fromSeconds, end: toSeconds, step: stepSeconds });
      answers[panel.id].push(result);
    }
  }
  return answers;
}

async function ask(address, path, parameters) {
  const url = `http://${address}/api/v1/${path}?${new URLSearchParams(parameters)}`;
  const answer = await (await fetch(url, { signal: AbortSignal.timeout(SECONDS_AT_MOST * 1000) })).json();
  if (answer.status !== "success") throw new Error(`Prometheus refuses ${parameters.query}: ${answer.error}`);
  return answer.data.result;
}
