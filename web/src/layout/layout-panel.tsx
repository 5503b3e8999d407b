import type { Detail } from "../api/types";

/** Why the two lie as they do, and how to change it. */
export function LayoutPanel({ detail }: { detail: Detail }) {
  if (!detail.layout) return null;
  return (
    <section class="layout">
      <h2>Layout</h2>
      <p>{detail.layout.text}</p>
    </section>
  );
}
