import "./css/site.css";
import "./worklist-page";
