// The panels of a dashboard, drawn by Grafana's own components.
import { FieldType, applyFieldOverrides, applyNullInsertThreshold, dateTime, getFieldDisplayValues } from "@grafana/data";
import { BigValue, PanelChrome, Table, TimeSeries, useTheme2 } from "@grafana/ui";
import React from "react";
import { seriesFrames, tableFrame } from "./frames.js";

const TIME_ZONE = "utc";
const asWritten = (text) => text;

/** A panel in its frame. `answers` are the results of its queries, in their order. */
export function Panel({ panel, answers, width, height, range }) {
  const Content = CONTENTS[panel.type];
  return (
    <PanelChrome title={panel.title} width={width} height={height}>
      {(innerWidth, innerHeight) =>
        answers.some((result) => result.length) ? (
          <Content panel={panel} answers={answers} width={innerWidth} height={innerHeight} range={range} />
        ) : (
          <div className="no-data">No data</div>
        )
      }
    </PanelChrome>
  );
}

const CONTENTS = { timeseries: Lines, stat: Stat, table: Rows };

function Lines({ panel, answers, width, height, range }) {
  return (
    <TimeSeries
      frames={useSeries(panel, answers, range)}
      width={width}
      height={height}
      timeRange={timeRange(range)}
      timeZone={TIME_ZONE}
      legend={panel.options.legend}
      options={panel.options}
    />
  );
}

function Stat({ panel, answers, width, height, range }) {
  const theme = useTheme2();
  const { colorMode, graphMode, justifyMode, reduceOptions, textMode, wideLayout } = panel.options;
  const [{ display, sparkline }] = getFieldDisplayValues({
    data: useSeries(panel, answers, range),
    fieldConfig: panel.fieldConfig,
    reduceOptions,
    replaceVariables: asWritten,
    sparkline: graphMode !== "none",
    theme,
    timeZone: TIME_ZONE,
  });
  if (sparkline) sparkline.timeRange = timeRange(range);
  // One value needs no name below it: the title of the panel says what it is.
  const value = { ...display, title: "" };
  return (
    <BigValue {...{ value, sparkline, width, height, colorMode, graphMode, justifyMode, textMode, wideLayout, theme }} />
  );
}

function Rows({ panel, answers, width, height }) {
  const frames = panel.targets.map((target, at) => tableFrame(panel, target, answers[at]));
  const [frame] = useDisplayed(frames, panel);
  return <Table data={frame} width={width} height={height} columnMinWidth={80} cellHeight={panel.options.cellHeight} />;
}

function useSeries(panel, answers, range) {
  const frames = panel.targets.flatMap((target, at) => seriesFrames(panel, target, answers[at], range.stepSeconds));
  // Where a series has no value its line is interrupted.
  return useDisplayed(frames, panel).map((frame) => applyNullInsertThreshold({ frame }));
}

/** Give each field its unit, colour and thresholds. */
function useDisplayed(frames, panel) {
  const theme = useTheme2();
  const displayed = applyFieldOverrides({
    data: frames,
    fieldConfig: { defaults: {}, overrides: panel.fieldConfig.overrides },
    replaceVariables: asWritten,
    theme,
    timeZone: TIME_ZONE,
  });
  const named = displayed.flatMap((frame) => frame.fields).filter((field) => field.type === FieldType.number);
  named.forEach((field, at) => (field.state.seriesIndex = at));
  return displayed;
}

function timeRange({ fromSeconds, toSeconds }) {
  const [from, to] = [dateTime(fromSeconds * 1000), dateTime(toSeconds * 1000)];
  return { from, to, raw: { from, to } };
}
