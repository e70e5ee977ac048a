import { unsafeCSS } from "lit";
import controlsCss from "../css/controls.css?inline";

/** The shared controls as a sheet that elements adopt; built from our own file. */
export const controls = unsafeCSS(controlsCss);
