"use strict";
(() => {
  const table = document.querySelector("table");
  const tools = document.querySelector(".tools");
  if (!table || !tools) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  tools.hidden = false;

  const find = document.getElementById("find");
  const boxes = Array.from(tools.querySelectorAll("input[type=checkbox]"));
  const show = () => {
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const wanted = find.value.toLowerCase();
    for (const row of rows) {
      row.hidden = !shown.has(row.dataset.status) || !row.textContent.toLowerCase().includes(wanted);
    }
  };
  for (const input of [find, ...boxes]) input.addEventListener("input", show);

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    if (cell.dataset.key === undefined) return cell.textContent;
    if (cell.dataset.key === "None" || cell.dataset.key === "nan") return -Infinity;
    return cell.dataset.key === "inf" ? Infinity : Number(cell.dataset.key);
  };
  const order = (first, second) =>
    typeof first === "number" && typeof second === "number"
      ? (first > second) - (first < second)
      : String(first).localeCompare(String(second), undefined, { numeric: true });
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      // The worst first where there are figures.
      const [first, second] =
        head.className === "number" && column ? ["descending", "ascending"] : ["ascending", "descending"];
      const wanted = head.getAttribute("aria-sort") === first ? second : first;
      const direction = wanted === "ascending" ? 1 : -1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", wanted);
      rows.sort((one, two) => direction * order(key(one, column), key(two, column)));
      body.replaceChildren(...rows);
    });
  });
})();
