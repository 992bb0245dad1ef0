// A page that draws rows of a dashboard of Grafana's: `drawDashboard` is called with the dashboard and its data.
import "@fontsource/inter/400.css";
import "@fontsource/inter/500.css";
import { ThemeContext, createTheme } from "@grafana/data";
import { GlobalStyles } from "@grafana/ui";
import React from "react";
import { createRoot } from "react-dom/client";
import { Panel } from "./panels.jsx";
import "./page.css";

// Grafana's grid: 24 columns, and rows of 30 pixels, with 8 between them.
const COLUMNS = 24;
const ROW = 30;
const GAP = 8;

/** Draw `panels` at `width`, and a caption below. React and the charts draw when they have time: wait for them. */
window.drawDashboard = async ({ title, description, panels, answers, range, mode, width, caption }) => {
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 14px Inter`)));
  const theme = createTheme({ colors: { mode } });
  document.body.style.background = theme.colors.background.canvas;
  const column = (width + GAP) / COLUMNS;
  createRoot(document.getElementById("dashboard")).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div className="page" style={{ color: theme.colors.text.primary }}>
        <h1>{title}</h1>
        <p style={{ color: theme.colors.text.secondary }}>{description}</p>
        <div className="grid" style={{ width, height: bottom(panels) }}>
          {panels.map((panel) => {
            const { x, y, w, h } = panel.gridPos;
            const place = { left: x * column, top: y * (ROW + GAP), width: w * column - GAP, height: h * (ROW + GAP) - GAP };
            return (
              <div key={panel.id} className={`panel ${panel.type}-panel`} style={place}>
                {panel.type === "row" ? (
                  <h2>{panel.title}</h2>
                ) : (
                  <Panel panel={panel} answers={answers[panel.id]} width={place.width} height={place.height} range={range} />
                )}
              </div>
            );
          })}
        </div>
        <footer style={{ color: theme.colors.text.secondary, borderColor: theme.colors.border.medium }}>{caption}</footer>
      </div>
    </ThemeContext.Provider>,
  );
};

function bottom(panels) {
  return Math.max(...panels.map(({ gridPos: { y, h } }) => y + h)) * (ROW + GAP);
}
