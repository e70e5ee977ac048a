import "./css/site.css";
import "./viewer-page";
