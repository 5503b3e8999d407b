import { useEffect, useRef, useState } from "preact/hooks";

import { getDetail } from "../api/client";
import { report } from "../state/banner";

/** Names of the other side that look like that of a tensor without partner; asked for when it comes into view. */
export function NearNames({ row }: { row: number }) {
  const place = useRef<HTMLSpanElement>(null);
  const [near, setNear] = useState<readonly string[]>([]);
  useEffect(() => {
    if (!place.current) return;
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      getDetail(row).then((detail) => setNear(detail.near), report);
    });
    seen.observe(place.current);
    return () => seen.disconnect();
  }, [row]);
  return (
    <span ref={place} class="soft small">
      {near.length > 0 && "like "}
      {near.map((name, number) => (
        <span key={name}>
          {number > 0 && ", "}
          <code>{name}</code>
        </span>
      ))}
      {"\u200b"}
    </span>
  );
}
