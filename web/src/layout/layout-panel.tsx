import type { Detail } from "../api/types";
import { ChangeLayout } from "./change-layout";
import { LayoutPicture } from "./layout-picture-view";
import { PairByHand } from "./pair-by-hand";
import { pairSides } from "./pair-sides";
import { RuleList } from "./rule-list";
import { WhyLayout } from "./why-layout";
import "./layout.css";

/** Why the two lie as they do, and how to change it. */
export function LayoutPanel({ detail }: { detail: Detail }) {
  const sides = pairSides(detail);
  const hasBoth = detail.expected !== null && detail.actual.length > 0;
  return (
    <section class="layout card section" aria-label="Layout" data-testid="layout-panel">
      <h2>Layout</h2>
      <WhyLayout detail={detail} />
      {detail.layout && detail.layout.steps.length > 0 && !detail.layout.is_identity && <LayoutPicture steps={detail.layout.steps} />}
      {hasBoth && <ChangeLayout key={`layout ${detail.row}`} detail={detail} sides={sides} />}
      {detail.status !== "refused" && <PairByHand key={`pair ${detail.row}`} detail={detail} sides={sides} />}
      <RuleList />
    </section>
  );
}
