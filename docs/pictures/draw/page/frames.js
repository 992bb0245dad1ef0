// Answers of Prometheus as the data frames that Grafana's panels draw.
import { FieldType } from "@grafana/data";

// What Grafana's time series panel takes for what a dashboard does not say.
const LINE = { drawStyle: "line", lineWidth: 1, fillOpacity: 0, spanNulls: false, showPoints: "auto", pointSize: 5 };

/** One frame a series of a query over time, named by the query's legend. */
export function seriesFrames(panel, target, result, stepSeconds) {
  const defaults = panel.fieldConfig.defaults;
  return result.map(({ metric, values }) => ({
    refId: target.refId,
    length: values.length,
    fields: [
      {
        name: "Time",
        type: FieldType.time,
        config: { interval: stepSeconds * 1000 }, // A longer distance is a gap.
        values: values.map(([seconds]) => seconds * 1000),
      },
      {
        name: "Value",
        type: FieldType.number,
        labels: metric,
        config: {
          ...defaults,
          displayNameFromDS: renamed(panel, legend(target.legendFormat, metric)),
          color: defaults.color ?? { mode: panel.type === "stat" ? "thresholds" : "palette-classic" },
          custom: { ...LINE, ...defaults.custom },
        },
        values: values.map(([, value]) => (value === "NaN" ? null : Number(value))), // A gap.
      },
    ],
  }));
}

/** One frame of a query at one time: a column a label, and the value last. */
export function tableFrame(panel, target, result) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const config = panel.fieldConfig.defaults;
  const excluded = options(panel, "organize").flatMap(({ excludeByName }) => Object.keys(excludeByName));
  return {
    refId: target.refId,
    length: result.length,
    fields: [
      { name: "Time", type: FieldType.time, config: {}, values: result.map(({ value: [seconds] }) => seconds * 1000) },
      ...labels.map((name) => ({
        name,
        type: FieldType.string,
        config,
        values: result.map(({ metric }) => metric[name]),
      })),
      { name: "Value", type: FieldType.number, config, values: result.map(({ value: [, value] }) => Number(value)) },
    ].filter(({ name }) => !excluded.includes(name)),
  };
}

/** The options of a panel's transformations of one kind. */
function options(panel, id) {
  return (panel.transformations ?? []).filter((transformation) => transformation.id === id).map(({ options }) => options);
}

function renamed(panel, name) {
  const rename = (text, { regex, renamePattern }) => text.replace(new RegExp(`^${regex}$`), renamePattern);
  return options(panel, "renameByRegex").reduce(rename, name);
}

function legend(format, metric) {
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? "");
}
