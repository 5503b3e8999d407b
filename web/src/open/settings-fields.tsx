import { checked, settings } from "../state/settings";

/** How to compare, folded away: hardly anybody needs it. */
export function SettingsFields() {
  const now = settings.value;
  const set = (changes: Partial<typeof now>) => (settings.value = { ...settings.value, ...changes });
  const { faults } = checked.value;
  return (
    <details class="settings">
      <summary>How to compare</summary>
      <p class="soft small">Left as it is, each tensor is held against the errors before it and the precision of its dtype. Nothing needs to be set.</p>
      <div class="fields">
        <label class="check">
          <input type="checkbox" checked={now.exact} onChange={(event) => set({ exact: event.currentTarget.checked })} /> Equal to the last bit
        </label>
        {(["rtol", "atol"] as const).map((name) => (
          <label key={name}>
            {name === "rtol" ? "Relative tolerance" : "Absolute tolerance"}
            <input
              type="text" inputMode="decimal" placeholder="none" value={now[name]} disabled={now.exact}
              aria-invalid={faults[name] !== undefined} onInput={(event) => set({ [name]: event.currentTarget.value })}
            />
            {faults[name] && <small class="fault">{faults[name]}</small>}
          </label>
        ))}
        <label>
          Only these names
          <input type="text" placeholder="layers.3.*" value={now.only} onInput={(event) => set({ only: event.currentTarget.value })} />
        </label>
      </div>
    </details>
  );
}
