// Its default export, as a bundler gives it: @grafana/ui imports it as node.js would not.
export { Scrollbars as default } from "../node_modules/react-custom-scrollbars-2/lib/index.js";
