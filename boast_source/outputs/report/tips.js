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
})();
