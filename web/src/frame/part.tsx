import type { ComponentChildren } from "preact";
import { useEffect, useErrorBoundary } from "preact/hooks";

/** A part of the page: what fails in it is shown in its place, and the rest of the page goes on. */
export function Part({ name, of, children }: { name: string; of?: number | null; children: ComponentChildren }) {
  const [error, again] = useErrorBoundary((found) => console.error(found));
  // What failed for one row may work for the next.
  useEffect(again, [of]);
  if (error === undefined) return <>{children}</>;
  return (
    <div class="broken" role="alert" data-testid="error-banner">
      <p>
        <strong>This part of the page has a fault: {name}.</strong> The rest goes on working.
      </p>
      <p class="small soft">{String(error)}</p>
      <button type="button" onClick={again}>
        Try again
      </button>
    </div>
  );
}
