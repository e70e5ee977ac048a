import { expect, test } from "vitest";
import { aheadOf, PrefetchPlanner } from "../src/transport/prefetch";

const none = (): boolean => false;

test("two_on_either_side_come_first_then_the_direction_of_scrolling", () => {
  const planner = new PrefetchPlanner();
  planner.plan(10, 100, 6, none);
  expect(planner.plan(11, 100, 6, none)).toEqual([12, 10, 13, 9, 14, 15, 16, 17]);
});

test("the_list_turns_round_when_the_reader_does", () => {
  const planner = new PrefetchPlanner();
  planner.plan(10, 100, 5, none);
  planner.plan(11, 100, 5, none);
  expect(planner.plan(10, 100, 5, none)).toEqual([9, 11, 8, 12, 7, 6, 5]);
});

test("the_ends_of_the_stack_and_what_is_at_hand_are_left_out", () => {
  const planner = new PrefetchPlanner();
  expect(planner.plan(0, 4, 64, (at) => at === 1)).toEqual([2, 3]);
});

test("never_more_than_the_protocol_allows", () => {
  expect(new PrefetchPlanner().plan(100, 1000, 500, none).length).toBeLessThanOrEqual(64);
});

test("a_slow_or_dear_link_fetches_less_ahead", () => {
  const fast = aheadOf({ goodputKbitS: 50_000, wantsLittle: false });
  const slow = aheadOf({ goodputKbitS: 600, wantsLittle: false });
  expect(fast).toBe(64);
  expect(slow).toBeLessThan(fast);
  expect(aheadOf({ goodputKbitS: 50_000, wantsLittle: true })).toBeLessThan(slow);
});
