(() => {
  const tip = document.getElementById("tip");
  const show = (event) => {
    const mark = event.target.closest?.("path[aria-roledescription][aria-label]:not([aria-roledescription~=mark])");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("aria-label");
    tip.style.left = Math.max(4, Math.min(event.pageX + 12, scrollX + innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = event.pageY + 16 + "px";
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("pointerdown", show);

  const value = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.value ?? cell.textContent.trim();
    return given === "" ? null : isNaN(given) ? given : Number(given);
  };
  const order = (one, other) =>
    one === null || other === null ? (one === null) - (other === null)
    : typeof one === "string" ? one.localeCompare(other) : one - other;
  for (const head of document.querySelectorAll("table.sortable thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const body = head.closest("table").tBodies[0];
      const sign = head.ariaSort === "descending" ? 1 : -1;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.ariaSort = sign > 0 ? "ascending" : "descending";
      const rows = [...body.rows].map((row) => [value(row, head.cellIndex), row]);
      rows.sort(([one], [other]) => (one === null || other === null ? order(one, other) : sign * order(one, other)));
      body.append(...rows.map(([, row]) => row));
    });
  }
})();
