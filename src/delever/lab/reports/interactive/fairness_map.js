const state = { side: 0, variant: 0, follow: -1 };
const HEIGHT = 440, LEFT = 46, BOTTOM = 34, RIGHT = 22;
const side = () => data.sides[state.side];
const chosen = () => side().variants[state.variant];

// --- page ---

const sides = element("select", { "aria-label": "Contract" });
data.sides.forEach((one, index) =>
  sides.append(element("option", { value: index }, `${one.contract} ${one.side}s`)));
sides.onchange = () => { state.side = Number(sides.value); state.follow = -1; show(); };
const variants = element("div", { class: "bar", role: "group", "aria-label": "Rules and policy" });
data.variants.forEach((name, index) => {
  const button = element("button", { type: "button" }, name);
  button.onclick = () => { state.variant = index; show(); };
  variants.append(button);
});
const say = element("p", { class: "say", "aria-live": "polite" });
const picture = (name) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("role", "img");
  svg.id = name;
  return svg;
};
const dots = picture("dots"), curve = picture("lorenz");
const tip = element("p", { class: "tip note", id: "tip" });
const table = element("table");
document.getElementById("page").append(
  element("div", { class: "bar" }, element("label", {}, "Contract", sides), variants),
  say,
  element("div", { class: "pair" },
    element("div", {}, element("h2", {}, "Positions ",
      element("span", {}, "leverage across, return on entry up, area is notional; red is the part closed")),
    dots, tip),
    element("div", {}, element("h2", {}, "Lorenz curve ",
      element("span", {}, "of all positions, least affected first")), curve,
      element("p", { class: "note legend" },
        element("span", { class: "red" }, "part closed of each position"),
        element("span", { class: "amber" }, "quantity closed"),
        element("span", { class: "quiet" }, "quantity held")))),
  element("h2", {}, "Every variant on the same positions"),
  element("div", { class: "scroll" }, table),
  element("p", { class: "note" }, "Positions are those just before the first round; what a " +
    "variant closes is summed over its whole run. Gini: over all positions of the side, of the " +
    "part closed of each, 0 if all lose the same part and near 1 if few lose all; and of the " +
    "quantity closed, which follows the size of positions. Haircut: what the closed accounts " +
    "lost against the mark."),
  element("p", { class: "note keys" }, "Keys: v changes the rules, c the contract."),
);

// --- axes ---

const log = (value) => Math.log10(Math.max(value, 0.01));
function bounds(values) {
  const low = Math.min(...values), high = Math.max(...values);
  const pad = (high - low || 1) * 0.05;
  return [low - pad, high + pad];
}
function ticks(low, high, count) {
  const step = 10 ** Math.floor(Math.log10((high - low) / count));
  const size = [1, 2, 5, 10].map((part) => part * step).find((one) => (high - low) / one <= count);
  const found = [];
  for (let at = Math.ceil(low / size); at * size <= high; at++) found.push(at * size || 0);
  return found;
}
function drawDots() {
  const one = side(), now = chosen(), width = Math.max(dots.clientWidth, 240);
  dots.replaceChildren();
  dots.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  dots.style.height = `${HEIGHT}px`;
  const [left, right] = bounds(one.leverage.map(log));
  const [low, high] = bounds([...one.return, 0]);
  const x = (value) => LEFT + ((width - LEFT - 14) * (log(value) - left)) / (right - left);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - 10) * (value - low)) / (high - low);
  for (const at of ticks(low, high, 6)) {
    draw(dots, "line", { x1: LEFT, x2: width, y1: y(at), y2: y(at), stroke: "var(--line)",
      "stroke-width": at === 0 ? 2 : 0.6 });
    draw(dots, "text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, `${number(at)}%`);
  }
  for (const at of [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]) {
    if (log(at) < left || log(at) > right || (width < 500 && !/^1|^0.1/.test(String(at)))) continue;
    draw(dots, "line", { x1: x(at), x2: x(at), y1: 0, y2: HEIGHT - BOTTOM, stroke: "var(--line)",
      "stroke-width": 0.6 });
    draw(dots, "text", { x: x(at), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, `${at}x`);
  }
  const largest = Math.max(...one.notional, 1), scale = width < 500 ? 16 : 26;
  const radius = (index) => Math.max(Math.sqrt(one.notional[index] / largest) * scale, 2.5);
  one.names.forEach((name, index) => {
    const at = { cx: x(one.leverage[index]), cy: y(one.return[index]) };
    const part = Math.min(now.part[index], 1), r = radius(index);
    const followed = index === state.follow;
    const group = draw(dots, "g", { "data-account": name });
    draw(group, "circle", { ...at, r, fill: "var(--i3)", "fill-opacity": 0.35,
      stroke: `var(--${followed ? "follow" : part === 1 ? "red" : "i4"})`,
      "stroke-width": followed ? 4 : 0.8 });
    if (part > 0) draw(group, "circle", { ...at, r: Math.max(r * Math.sqrt(part), 1.2),
      fill: "var(--red)", "fill-opacity": 0.85 });
    draw(group, "title", {}, describe(index));
    group.onclick = () => { state.follow = followed ? -1 : index; show(); };
  });
  dots.setAttribute("aria-label", say.textContent);
}
function describe(index) {
  const one = side(), now = chosen();
  const part = number(100 * Math.min(now.part[index], 1), 1);
  return `${one.names[index]}: notional ${number(one.notional[index])} ${one.asset}, ` +
    `${quantity(one.leverage[index])}x, return ${number(one.return[index], 1)} %; ` +
    `${data.variants[state.variant]} closes ${part} %, haircut ${number(now.haircut[index], 2)}`;
}
function drawCurve() {
  const one = side(), now = chosen(), width = Math.max(curve.clientWidth, 200), size = HEIGHT;
  curve.replaceChildren();
  curve.setAttribute("viewBox", `0 0 ${width} ${size}`);
  curve.style.height = `${size}px`;
  const x = (part) => LEFT + (width - LEFT - RIGHT) * part;
  const y = (part) => size - BOTTOM - (size - BOTTOM - 10) * part;
  const path = (values) => values.map((value, index) =>
    `${x(index / (values.length - 1)).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  for (const at of [0, 0.25, 0.5, 0.75, 1]) {
    draw(curve, "line", { x1: LEFT, x2: width - RIGHT, y1: y(at), y2: y(at), stroke: "var(--line)",
      "stroke-width": 0.6 });
    draw(curve, "text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, `${100 * at}%`);
    draw(curve, "text", { x: x(at), y: size - BOTTOM + 16, "text-anchor": "middle" }, `${100 * at}%`);
  }
  draw(curve, "line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), stroke: "var(--line)",
    "stroke-dasharray": "4 4" });
  const line = (values, color, thick) => values.length && draw(curve, "polyline",
    { points: path(values), fill: "none", stroke: color, "stroke-width": thick });
  line(one.held, "var(--quiet)", 2);
  line(now.lorenz.quantity, "var(--amber)", 2.5);
  line(now.lorenz.part, "var(--red)", 3);
  const text = now.gini.part === null ? "nothing closed" : `Gini ${now.gini.part.toFixed(3)}`;
  draw(curve, "text", { x: LEFT + 12, y: 30, class: "strong" }, text);
  curve.setAttribute("aria-label", `Lorenz curve: ${text}`);
}
function drawTable() {
  const names = ["rules + policy", "positions", "notional closed", `haircut, ${side().asset}`,
    "largest share, %", "Gini, part", "Gini, quantity"];
  const coefficient = (value) => (value === null ? "-" : value.toFixed(3));
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const rows = side().variants.map((one, index) => element("tr",
    { class: index === state.variant ? "on" : "" },
    ...[data.variants[index], number(one.touched), number(one.closed), number(one.cost, 2),
      number(one.largest, 1), coefficient(one.gini.part), coefficient(one.gini.quantity)]
      .map((text) => element("td", {}, text))));
  table.replaceChildren(head, ...rows);
}
function show() {
  const one = side(), now = chosen();
  say.replaceChildren(element("time", {}, `${one.at}, mark ${one.mark}`),
    `${data.variants[state.variant]} closes ${number(now.touched)} of ${number(one.positions)} ` +
    `${one.contract} ${one.side}s: ${number(now.closed)} ${one.asset} at the mark, haircut ` +
    `${number(now.cost)} ${one.asset}.`);
  drawDots();
  drawCurve();
  drawTable();
  tip.textContent = state.follow >= 0 ? describe(state.follow) : "Select a position to follow it.";
  [...variants.children].forEach((button, index) =>
    button.setAttribute("aria-pressed", index === state.variant));
}
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  if (event.key === "v") state.variant = (state.variant + 1) % data.variants.length;
  else if (event.key === "c") {
    state.side = (state.side + 1) % data.sides.length;
    sides.value = String(state.side);
    state.follow = -1;
  } else return;
  show();
});
addEventListener("resize", show);
show();
