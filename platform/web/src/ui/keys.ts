import { COMMANDS, type Command, type ViewerCommands } from "./commands";

const HOLD_MS = 350;
const TYPING = "input:not([type=range], [type=checkbox], [type=radio]), select, textarea";
const PRESSABLE = "button, a, summary, input, select";
const MOVES = /^(Shift\+)?(Arrow|Page|Home|End)/;
/** Inside these, keys mean what they mean there. */
const OWN_KEYS = "dialog, [popover]";

/** How a key is named in the table. Signs are typed with Shift on some keyboards; letters with Shift are others. */
export function keyName({ key, shiftKey }: Pick<KeyboardEvent, "key" | "shiftKey">): string {
  const isSign = key.length === 1 && key.toLowerCase() === key.toUpperCase();
  if (isSign || !shiftKey) return key.length === 1 ? key.toLowerCase() : key;
  return `Shift+${key.length === 1 ? key.toUpperCase() : key}`;
}

/** Listens for the table's keys on the page; returns the function that stops it. */
export function listen(commands: ViewerCommands, isOn: () => boolean): () => void {
  const byKey = new Map(COMMANDS.flatMap((command) => command.keys.map((key) => [key, command] as const)));
  const held = new Map<string, { command: Command; since: number }>();

  const down = (event: KeyboardEvent): void => {
    const target = event.composedPath()[0];
    const name = keyName(event);
    const command = byKey.get(name);
    if (!command || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(target instanceof Element)) return;
    const isTyping = target.matches(TYPING) || (target.matches("input") && MOVES.test(name));
    const isPress = (event.key === " " || event.key === "Enter") && target.matches(PRESSABLE);
    const isElsewhere = event.composedPath().some((at) => at instanceof Element && at.matches(OWN_KEYS));
    const isOff = event.key.length === 1 && event.key !== "?" && !isOn();
    if (isTyping || isPress || isElsewhere || isOff) return;
    event.preventDefault();
    if (command.isHeld) {
      if (event.repeat) return;
      held.set(name, { command, since: event.timeStamp });
    }
    command.run(commands, name);
  };

  const up = (event: KeyboardEvent): void => {
    const press = held.get(keyName(event));
    held.delete(keyName(event));
    if (press && event.timeStamp - press.since > HOLD_MS) press.command.run(commands, keyName(event));
  };

  document.addEventListener("keydown", down);
  document.addEventListener("keyup", up);
  return () => {
    document.removeEventListener("keydown", down);
    document.removeEventListener("keyup", up);
  };
}
