// Keys, and the age of the data, which only the browser can count: a server that is gone or hangs
// cannot report it.
const LIMIT_MS = 2_500;
const FAVICON = document.querySelector("link[rel~=icon]");
let arrivedMs = performance.now();
let clock = "";
let title = document.title;

// The server has answered; `time` is its clock. Called once a second.
window.dataArrived = (time) => {
  arrivedMs = performance.now();
  clock = time;
  drawAge();
};

// Shows in title and icon how many contracts are in ADL.
window.displayState = (names, icon) => {
  document.title = names.length ? `(${names.length}) ADL ${names.slice(0, 3).join(" ")} · ${title}` : title;
  if (FAVICON) FAVICON.href = icon;
};

function drawAge() {
  const ageMs = performance.now() - arrivedMs;
  const age = document.querySelector(".age");
  if (!age) return;
  const old = ageMs > LIMIT_MS;
  document.body.classList.toggle("old", old);
  const seconds = (ageMs / 1000).toFixed(ageMs < 9_950 ? 1 : 0);
  const text = clock || old ? `${old ? "no data" : "live"} · ${seconds} s old · ${clock}` : "connecting";
  if (age.textContent !== text) age.textContent = text;
  const bar = document.querySelector(".offline");
  const notice = old
    ? `No answer from the server for ${Math.floor(ageMs / 1000)} s. The page displays its last data and reconnects by itself.`
    : "";
  if (bar && bar.textContent !== notice) bar.textContent = notice;
}
setInterval(drawAge, 250);

const reachable = () =>
  document.querySelectorAll(".rows th.sortable:not([tabindex])").forEach((heading) => {
    heading.tabIndex = 0;
  });
new MutationObserver(reachable).observe(document, { childList: true, subtree: true });

document.addEventListener("keydown", (event) => {
  const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = document.querySelector("dialog.keys");
  if (event.key === "?" && keys) keys.open ? keys.close() : keys.showModal();
  if (keys?.open) return;
  if (event.key === "/") {
    document.querySelector(".search input")?.focus();
    event.preventDefault();
  }
  const number = "123456789".indexOf(event.key);
  if (number >= 0) document.querySelectorAll(".top nav a")[number]?.click();
  const rows = [...document.querySelectorAll(".rows tbody tr, .rows .card")].filter(
    (row) => row.offsetParent && !row.closest(".q-virtual-scroll__padding")
  );
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

document.addEventListener("click", (event) => {
  const menu = event.target.closest("button.menu");
  if (!menu) return;
  const isOpen = document.querySelector(".top").classList.toggle("open");
  menu.setAttribute("aria-expanded", isOpen);
});

// Copying a rounded amount gives the exact one.
document.addEventListener("copy", (event) => {
  const selection = document.getSelection();
  if (selection.isCollapsed) return;
  const copied = selection.getRangeAt(0).cloneContents();
  const exact = copied.querySelectorAll("[data-exact]");
  const anchor = selection.anchorNode;
  const around = (anchor.nodeType === Node.ELEMENT_NODE ? anchor : anchor.parentElement)?.closest("[data-exact]");
  if (!exact.length && !around) return;
  exact.forEach((amount) => (amount.textContent = amount.dataset.exact));
  const holder = document.createElement("div");
  holder.append(copied);
  event.clipboardData.setData("text/plain", exact.length ? holder.textContent : around.dataset.exact);
  event.preventDefault();
});

window.groupDigits = (number) => {
  const [whole, decimals] = String(number).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u2009");
  return decimals ? `${grouped}.${decimals}` : grouped;
};

// The values of every line at the cursor: a line has its last value until its next point.
let pointedChart = null;
for (const type of ["pointermove", "pointerdown"]) {
  document.addEventListener(type, (event) => {
    pointedChart = event.target.closest?.("[_echarts_instance_]") ?? pointedChart;
  });
}
window.linesAt = (points) => {
  const chart = pointedChart && getElement(Number(pointedChart.id.slice(1)))?.chart;
  const timeMs = points[0]?.axisValue;
  if (!chart || timeMs === undefined) return "";
  const rows = chart.getOption().series.flatMap((line) => {
    if (!line.name || line.type !== "line") return [];
    const before = line.data.filter(([pointMs]) => pointMs <= timeMs);
    if (!before.length) return [];
    const value = groupDigits(before[before.length - 1][1]);
    const color = line.itemStyle?.color ?? "currentColor";
    return [`<tr><td style="color:${color}">■</td><td>${escapeHtml(line.name)}</td><td>${value}</td></tr>`];
  });
  rows.push(...flagsBeside(chart, timeMs));
  const time = new Date(timeMs).toISOString().replace("T", " ").replace("Z", " UTC");
  return `<div class="lines-at"><b>${time}</b><table>${rows.join("")}</table></div>`;
};

// The texts of flags at most 6 pixels from the cursor.
function flagsBeside(chart, timeMs) {
  const at = { xAxisIndex: 0 };
  const pixel = chart.convertToPixel(at, timeMs);
  const [fromMs, untilMs] = [pixel - 6, pixel + 6].map((place) => chart.convertFromPixel(at, place));
  return chart.getOption().series.flatMap((kind) => {
    if (kind.type !== "scatter") return [];
    const color = kind.itemStyle.color;
    const beside = kind.data.filter(({ value }) => value[0] >= fromMs && value[0] <= untilMs);
    return beside.map(
      (flag) => `<tr><td style="color:${color}">●</td><td colspan="2">${escapeHtml(flag.text)}</td></tr>`
    );
  });
}

function escapeHtml(text) {
  const holder = document.createElement("i");
  holder.textContent = text;
  return holder.innerHTML;
}
