"use strict";
// Sort a table by the column whose head is pressed; cells without a value stay last either way.
for (const table of document.querySelectorAll("figure.table table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const numeric = head.classList.contains("number");
      const first = numeric ? "descending" : "ascending";
      const other = numeric ? "ascending" : "descending";
      const way = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const keyed = [...table.tBodies[0].rows].map((row) => {
        const cell = row.cells[column];
        return { row, key: numeric ? cell.dataset.value : cell.textContent.trim() };
      });
      keyed.sort((a, b) => {
        if (!a.key || !b.key) return (a.key ? 0 : 1) - (b.key ? 0 : 1);
        return sign * (numeric ? a.key - b.key : a.key.localeCompare(b.key, "en", { numeric: true }));
      });
      table.tBodies[0].append(...keyed.map((one) => one.row));
    });
  });
}
// A long table has a box above it: rows that lack any of the words written there are hidden, and what is left is told.
const LONG = 12;
const folded = (text) => text.toLocaleLowerCase("en").replace(/\s+/g, " ");
document.querySelectorAll("figure.table").forEach((figure, at) => {
  const rows = [...figure.querySelectorAll("tbody tr")];
  if (rows.length <= LONG) return;
  const box = document.createElement("p");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const said = document.createElement("output");
  box.className = "filter";
  input.type = "search";
  input.id = `filter-${at}`;
  label.htmlFor = input.id;
  label.textContent = "Rows with";
  said.setAttribute("aria-live", "polite");
  said.textContent = `${rows.length} rows`;
  const texts = new Map(rows.map((row) => [row, folded([...row.cells].flatMap((cell) => [...cell.childNodes]).map((one) => one.textContent).join(" "))]));
  input.addEventListener("input", () => {
    const words = folded(input.value).split(" ").filter(Boolean);
    let left = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      if (!row.hidden) left += 1;
    }
    said.textContent = words.length ? `${left} of ${rows.length} rows` : `${rows.length} rows`;
  });
  box.append(label, input, said);
  figure.prepend(box);
});
