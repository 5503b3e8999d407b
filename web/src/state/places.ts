/** What of this machine the page may open without sending it. */

import { signal } from "@preact/signals";

import * as api from "../api/client";
import type { Folder, Places } from "../api/types";
import { ApiFailure } from "../api/client";
import { report } from "./banner";

export const places = signal<Places | null>(null);
export const folder = signal<Folder | null>(null);

export async function loadPlaces(): Promise<void> {
  try {
    places.value = await api.getPlaces();
  } catch (error) {
    report(error);
  }
}

export async function openFolder(path: string): Promise<void> {
  try {
    folder.value = await api.getFolder(path);
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 404) folder.value = null;
    report(error);
  }
}

export function leaveFolder(): void {
  folder.value = null;
}
