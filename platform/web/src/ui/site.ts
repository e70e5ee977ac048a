import "./css/site.css";
import { moment } from "./kit/format";

/** The server writes moments in UTC; the reader's own clock says when that was. */
for (const time of document.querySelectorAll<HTMLTimeElement>("time[datetime]")) {
  const isInSentence = Boolean(time.previousSibling?.textContent?.trim());
  const words = moment(time.dateTime);
  time.title = time.textContent ?? "";
  time.textContent = isInSentence ? words.replace(/^Today/, "today") : words;
}
