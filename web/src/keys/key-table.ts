/** Which key does what: the one table that the handler and the help read. */

export type Action =
  | "next-tensor" | "previous-tensor" | "next-wrong" | "previous-wrong" | "filter-list" | "toggle-list"
  | "first-divergence" | "verdict" | "open" | "export" | "help" | "leave"
  | "next-difference" | "previous-difference" | "largest-difference" | "search-values";

export type Group = "Everywhere" | "List of tensors" | "Tensor";

/** What has to be on the page for a key to do anything. */
export type Needs = "nothing" | "comparison" | "tensor";

export interface KeyRow {
  /** As `KeyboardEvent.key` says it; any of them does. */
  keys: readonly string[];
  /** Null for what a part of the page handles by itself while the focus is in it. */
  action: Action | null;
  needs: Needs;
  group: Group;
  text: string;
}

export const KEY_TABLE: readonly KeyRow[] = [
  { keys: ["?"], action: "help", needs: "nothing", group: "Everywhere", text: "Show the keys" },
  { keys: ["v"], action: "verdict", needs: "comparison", group: "Everywhere", text: "Go to the verdict" },
  { keys: ["f"], action: "first-divergence", needs: "comparison", group: "Everywhere", text: "Go to where the runs part first" },
  { keys: ["o"], action: "open", needs: "nothing", group: "Everywhere", text: "Open other runs, or go back from there" },
  { keys: ["e"], action: "export", needs: "comparison", group: "Everywhere", text: "Save the report as one HTML file" },
  { keys: ["l"], action: "toggle-list", needs: "comparison", group: "Everywhere", text: "Show or hide the list" },
  { keys: ["Escape"], action: "leave", needs: "nothing", group: "Everywhere", text: "Close what is open, leave a field, go back to the verdict" },
  { keys: ["j"], action: "next-tensor", needs: "comparison", group: "List of tensors", text: "Next tensor" },
  { keys: ["k"], action: "previous-tensor", needs: "comparison", group: "List of tensors", text: "Tensor before" },
  { keys: ["J"], action: "next-wrong", needs: "comparison", group: "List of tensors", text: "Next tensor that is wrong by itself" },
  { keys: ["K"], action: "previous-wrong", needs: "comparison", group: "List of tensors", text: "The one before" },
  { keys: ["/"], action: "filter-list", needs: "comparison", group: "List of tensors", text: "Filter the list by name" },
  { keys: ["↑", "↓"], action: null, needs: "comparison", group: "List of tensors", text: "In the list: move; Enter opens, ← and → close and open groups" },
  { keys: ["n"], action: "next-difference", needs: "tensor", group: "Tensor", text: "Next number that differs" },
  { keys: ["N"], action: "previous-difference", needs: "tensor", group: "Tensor", text: "The one before" },
  { keys: ["m"], action: "largest-difference", needs: "tensor", group: "Tensor", text: "Largest difference" },
  { keys: ["s"], action: "search-values", needs: "tensor", group: "Tensor", text: "Search for a value, a range, NaN or Inf" },
  { keys: ["←", "→", "↑", "↓"], action: null, needs: "tensor", group: "Tensor", text: "In the numbers: move from cell to cell; on a slider: the next slice" },
];
