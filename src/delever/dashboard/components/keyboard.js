const reachable = () =>
  document.querySelectorAll(".rows th.sortable:not([tabindex])").forEach((heading) => {
    heading.tabIndex = 0;
  });
new MutationObserver(reachable).observe(document, { childList: true, subtree: true });

document.addEventListener("keydown", (event) => {
  const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    document.querySelector(".search input").focus();
    event.preventDefault();
  }
  const rows = [...document.querySelectorAll(".rows tbody tr")];
  const now = rows.indexOf(document.activeElement);
  if ((event.key === "j" || event.key === "k") && rows.length) {
    const wanted = now + (event.key === "j" ? 1 : -1);
    const next = rows[Math.min(Math.max(wanted, 0), rows.length - 1)];
    next.tabIndex = -1;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  if (event.key === "Enter" && document.activeElement.matches(".rows th")) {
    document.activeElement.click();
  }
  if (event.key === "Enter" && now >= 0) rows[now].querySelector("a")?.click();
});
