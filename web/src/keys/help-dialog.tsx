import { useEffect, useRef } from "preact/hooks";

import { isHelpShown } from "./help-state";
import { KEY_TABLE, type Group } from "./key-table";

const GROUPS: readonly Group[] = ["Everywhere", "List of tensors", "Tensor"];

/** All keys. The browser keeps the focus inside, and gives it back at the end. */
export function HelpDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isShown = isHelpShown.value;
  useEffect(() => {
    if (isShown) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isShown]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby="keys-title"
      data-testid="keys-dialog"
      onClose={() => (isHelpShown.value = false)}
      onClick={(event) => event.target === dialog.current && (isHelpShown.value = false)}
    >
      {isShown && (
        <>
          <div class="dialog-head">
            <h2 id="keys-title">Keys</h2>
            <button type="button" onClick={() => (isHelpShown.value = false)}>
              Close
            </button>
          </div>
          {GROUPS.map((group) => (
            <section key={group}>
              <h3>{group}</h3>
              <table class="keys-table">
                <tbody>
                  {KEY_TABLE.filter((row) => row.group === group).map((row) => (
                    <tr key={row.keys.join(" ")}>
                      <td>
                        {row.keys.map((key) => (
                          <kbd key={key}>{key === "Escape" ? "Esc" : key}</kbd>
                        ))}
                      </td>
                      <td>{row.text}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
          ))}
          <p class="small soft">Letters are keys only while no field has the focus.</p>
        </>
      )}
    </dialog>
  );
}
