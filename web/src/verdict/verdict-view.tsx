import { rows, select, verdict } from "../state/page-state";

/** The answer, and the way to where the runs part. */
export function VerdictView() {
  const found = verdict.value;
  if (!found) return null;
  const first = found.first;
  return (
    <section class={`verdict ${found.verdict}`}>
      <h1 data-testid="verdict">{found.sentence}</h1>
      {first !== null && (
        <button type="button" data-testid="first-divergence" onClick={() => select(first)}>
          {rows.value?.expected[first]}
        </button>
      )}
      <div data-testid="depth-chart" />
    </section>
  );
}
