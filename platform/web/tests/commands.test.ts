import { expect, test } from "vitest";
import { COMMANDS, commandOf, GROUPS } from "../src/ui/commands";
import { keyName } from "../src/ui/keys";

test("every_key_means_one_thing", () => {
  const keys = COMMANDS.flatMap((command) => command.keys);
  expect(new Set(keys).size).toBe(keys.length);
  expect(new Set(COMMANDS.map(({ id }) => id)).size).toBe(COMMANDS.length);
});

test("every_command_has_a_name_a_key_and_a_place_on_the_sheet", () => {
  for (const { name, keys, shown, group } of COMMANDS) {
    expect(name && shown && keys.length > 0).toBeTruthy();
    expect(Object.keys(GROUPS)).toContain(group);
  }
  expect(commandOf("cine").shown).toBe("C");
});

test.each([
  ["a", false, "a"],
  ["A", true, "Shift+A"],
  ["A", false, "a"],
  ["?", true, "?"],
  ["+", true, "+"],
  [" ", false, " "],
  ["ArrowDown", true, "Shift+ArrowDown"],
  ["Home", false, "Home"],
])("keyName_of_%s_with_shift_%s_is_%s", (key, shiftKey, name) => {
  expect(keyName({ key, shiftKey })).toBe(name);
});
