/** What each side is made of: its files, their order, and what several of them are together. */

import { effect, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Item, Several, SideName } from "../api/types";
import { announce } from "./announce";
import { report } from "./banner";
import { moved } from "../open/item-order";
import { session, sides, status } from "./page-state";

/** What several files of a side are. */
export const several = signal<Record<SideName, Several>>({ expected: "auto", actual: "auto" });

/** Sides whose files were compared: what is opened next takes their place, and is no further part of them. */
export const isUsed = signal<Record<SideName, boolean>>({ expected: false, actual: false });

effect(() => {
  if (session.value) several.value = session.value.as;
});
effect(() => {
  if (status.value.state !== "empty") isUsed.value = { expected: true, actual: true };
});

/** Add to the files of a side although they were compared. */
export function keepFiles(side: SideName): void {
  isUsed.value = { ...isUsed.peek(), [side]: false };
}

/** Make place on a side whose files were compared. */
export async function makePlace(side: SideName): Promise<void> {
  if (!isUsed.peek()[side]) return;
  keepFiles(side);
  await removeAll(side);
}

/** Let each side have what the other had. */
export async function swap(): Promise<void> {
  await keep(async () => {
    const answer = await api.swapSides();
    sides.value = answer.sides;
    several.value = answer.as;
    announce("The sides are exchanged");
  });
}

export async function remove(side: SideName, item: Item): Promise<void> {
  await keep(async () => {
    await api.removeItem(side, item.id);
    setItems(side, sides.peek()[side].filter((other) => other.id !== item.id));
    announce(`${item.name} is taken away`);
  });
}

export async function removeAll(side: SideName): Promise<void> {
  for (const item of sides.peek()[side]) await remove(side, item);
}

/** One place up or down. */
export async function shift(side: SideName, item: Item, step: 1 | -1): Promise<void> {
  const items = moved(sides.peek()[side], item.id, step);
  await put(side, items, several.peek()[side]);
  announce(`${item.name} is number ${items.indexOf(item) + 1} of ${items.length}`);
}

export async function setSeveral(side: SideName, as: Several): Promise<void> {
  await put(side, sides.peek()[side], as);
}

export async function addPath(side: SideName, path: string): Promise<void> {
  await makePlace(side);
  await keep(async () => {
    const item = await api.addPath(side, path);
    setItems(side, [...sides.peek()[side], item]);
    announce(`${item.name} is ${side}`);
  });
}

async function put(side: SideName, items: readonly Item[], as: Several): Promise<void> {
  await keep(async () => {
    const answer = await api.putSide(side, items.map((item) => item.id), as);
    setItems(side, answer.items);
    several.value = { ...several.value, [side]: answer.as };
  });
}

async function keep(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    report(error);
  }
}

function setItems(side: SideName, items: Item[]): void {
  sides.value = { ...sides.value, [side]: items };
}
