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
