import { expect, test, vi } from "vitest";

import { Latest } from "./tensor-latest";

function deferred() {
  let finish = () => {};
  const promise = new Promise<void>((resolve) => (finish = resolve));
  return { promise, finish };
}

test("of those that come meanwhile only the last is asked", async () => {
  const latest = new Latest(() => {});
  const first = deferred();
  const asked: number[] = [];
  latest.ask(() => (asked.push(1), first.promise));
  for (const number of [2, 3, 4]) latest.ask(async () => void asked.push(number));
  expect(asked).toEqual([1]);
  first.finish();
  await vi.waitFor(() => expect(asked).toEqual([1, 4]));
});

test("what takes long is given up when something newer waits, silently", async () => {
  const failed = vi.fn();
  const latest = new Latest(failed, 5);
  const asked: number[] = [];
  latest.ask((signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))));
  latest.ask(async () => void asked.push(2));
  await vi.waitFor(() => expect(asked).toEqual([2]));
  expect(failed).not.toHaveBeenCalled();
});

test("a failure is told, and the next is asked all the same", async () => {
  const failed = vi.fn();
  const latest = new Latest(failed);
  const asked: number[] = [];
  latest.ask(() => Promise.reject(new Error("no")));
  await vi.waitFor(() => expect(failed).toHaveBeenCalledOnce());
  latest.ask(async () => void asked.push(2));
  await vi.waitFor(() => expect(asked).toEqual([2]));
});

test("a failure of what nobody waits for any more is not told", async () => {
  const failed = vi.fn();
  const latest = new Latest(failed);
  const asked: number[] = [];
  latest.ask(() => Promise.reject(new Error("no")));
  latest.ask(async () => void asked.push(2));
  await vi.waitFor(() => expect(asked).toEqual([2]));
  expect(failed).not.toHaveBeenCalled();
});
