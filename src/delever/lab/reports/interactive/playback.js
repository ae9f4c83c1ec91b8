const state = { frame: 0, side: 0, variant: 0, speed: 1, playing: false, started: false, follow: -1 };
const CHART = 110, BAR = 150, FRAME_MS = 500, SPEEDS = [0.5, 1, 2, 4, 8];
const last = data.times.length - 1;

const frames = () => data.variants[state.variant].frames;
const sideAt = (frame) => frames()[frame].sides[state.side];
const side = () => data.sides[state.side];

// --- page ---

const buttons = (name, labels, key) => {
  const group = element("div", { class: "bar", role: "group", "aria-label": name });
  labels.forEach((label, index) => {
    const button = element("button", { type: "button" }, label);
    button.onclick = () => { state[key] = index; show(); };
    group.append(button);
  });
  return group;
};
const variants = buttons("Rules and policy", data.variants.map((one) => one.rules), "variant");
const sides = element("select", { "aria-label": "Contract" });
data.sides.forEach((one, index) =>
  sides.append(element("option", { value: index }, `${one.contract} ${one.side}s`)));
sides.onchange = () => { state.side = Number(sides.value); state.follow = -1; show(); };
const say = element("p", { class: "say", "aria-live": "off" });
const play = element("button", { type: "button" }, "Play");
const slider = element("input",
  { type: "range", min: 0, max: last, value: 0, "aria-label": "Moment" });
const speed = element("select", { "aria-label": "Speed" });
SPEEDS.forEach((one) => speed.append(element("option", { value: one }, `${one}x`)));
speed.value = "1";
const charts = ["price", "fund", "queue"].map((name) => {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("role", "img");
  picture.id = name;
  return picture;
});
const [price, fund, queue] = charts;
const headings = charts.map(() => element("h2"));
const figures = element("div", { class: "figures" });
const tip = element("p", { class: "tip note", id: "tip" });
document.getElementById("page").append(
  element("div", { class: "bar" }, element("label", {}, "Contract", sides), variants),
  say,
  element("div", { class: "bar" }, play, slider, element("label", {}, "Speed", speed)),
  headings[0], price, headings[1], fund, headings[2], queue, tip, figures,
  element("p", { class: "note" }, "Each block of the queue is a position, the next to be closed " +
    "at the left, as wide as its quantity; darker is a higher ADL indicator. Red is what ADL " +
    "closes of it. The amber bar is the fund's inventory: what stands above it is in reach. " +
    "Select a block to follow its account under other rules."),
  element("p", { class: "note keys" }, "Keys: space plays, left and right move, Home and End, " +
    "v changes the rules, c the contract, + and - the speed."),
);

// --- charts of time ---

function range(values, zero) {
  let low = Math.min(...values, zero ? 0 : Infinity), high = Math.max(...values, zero ? 0 : -Infinity);
  const pad = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - pad, high + pad];
}
function timeChart(picture, lines, width, zero) {
  picture.replaceChildren();
  picture.setAttribute("viewBox", `0 0 ${width} ${CHART}`);
  picture.style.height = `${CHART}px`;
  const known = lines.flatMap((line) => line.values).filter((value) => value !== null);
  const [low, high] = range(known, zero);
  const x = (frame) => (width * frame) / Math.max(last, 1);
  const y = (value) => CHART - 4 - ((CHART - 8) * (value - low)) / (high - low);
  frames().forEach((one, frame) => {
    if (one.sides[state.side].on && frame) draw(picture, "rect", { x: x(frame - 1), y: 0,
      width: x(1), height: CHART, fill: "var(--red)", opacity: 0.13 });
  });
  if (zero && low < 0) draw(picture, "line",
    { x1: 0, x2: width, y1: y(0), y2: y(0), stroke: "var(--red)", "stroke-width": 1 });
  lines.forEach((line) => {
    const points = line.values.map((value, frame) =>
      value === null ? null : `${x(frame).toFixed(1)},${y(value).toFixed(1)}`);
    const path = (upto) => points.slice(0, upto + 1).filter(Boolean).join(" ");
    draw(picture, "polyline", { points: path(last), fill: "none", stroke: line.color,
      opacity: 0.25, "stroke-width": 1.5 });
    draw(picture, "polyline", { points: path(state.frame), fill: "none", stroke: line.color,
      "stroke-width": 2.2, "stroke-dasharray": line.dash || "none" });
  });
  const now = lines[0].values[state.frame];
  if (now === null) return;
  draw(picture, "line", { x1: x(state.frame), x2: x(state.frame), y1: 0, y2: CHART,
    stroke: "var(--quiet)", "stroke-width": 1 });
  draw(picture, "circle", { cx: x(state.frame), cy: y(now), r: 4, fill: lines[0].color });
}

// --- the queue ---

function domain() {
  // The quantity that the picture spans: what any variant closes and reaches, and as much again.
  let most = 0;
  for (const variant of data.variants) for (const frame of variant.frames) {
    const one = frame.sides[state.side];
    if (one.mark !== null) most = Math.max(most, one.closed + one.inventory * side().lot);
  }
  let total = 0;
  const first = frames().find((frame) => frame.sides[state.side].queue);
  if (first) {
    const blocks = first.sides[state.side].queue;
    for (let i = 1; i < blocks.front.length; i += 4) total += blocks.front[i];
    total = (total + blocks.rest[1]) * side().lot;
  }
  return Math.max(Math.min(most * 1.6, total || most) * 1.02, side().lot);
}
function queueAt(frame) {
  for (let at = frame; at >= 0; at--) if (sideAt(at).queue) return [sideAt(at).queue, at === frame];
  return [null, false];
}
function drawQueue(width) {
  queue.replaceChildren();
  queue.setAttribute("viewBox", `0 0 ${width} ${BAR}`);
  queue.style.height = `${BAR}px`;
  const now = sideAt(state.frame), lot = side().lot;
  const scale = width / domain();
  const [blocks, current] = queueAt(state.frame);
  const closedNow = blocks && current ? sum(blocks, 2) + blocks.rest[2] : 0;
  const closedBefore = (now.closed || 0) - closedNow * lot;
  let x = Math.max(closedBefore, 0) * scale;
  draw(queue, "rect", { x: 0, y: 24, width: x, height: 70, fill: "var(--red)", opacity: 0.3 });
  if (x > 70) draw(queue, "text", { x: 6, y: 63, class: "strong" }, "closed so far");
  draw(queue, "text", { x: 4, y: 15 }, "front of the queue: closed next");
  draw(queue, "text", { x: width - 4, y: 15, "text-anchor": "end" }, "back");
  const front = x;
  if (blocks) {
    const list = blocks.front;
    for (let i = 0; i < list.length && x < width; i += 4) {
      const [account, lots, taken, indicator] = list.slice(i, i + 4);
      x += block(x, Math.max(lots * lot * scale, 0.5), account, lots, current ? taken : 0,
        indicator, i / 4 + 1);
    }
    const [count, lots, taken] = blocks.rest;
    if (count && x < width) block(x, lots * lot * scale, -1, lots, current ? taken : 0, 1, count);
  } else draw(queue, "text", { x: front + 6, y: 63 }, "no inventory yet: nobody is in reach");
  const reach = (now.inventory || 0) * lot * scale;
  const start = front + closedNow * lot * scale;
  if (reach) {
    draw(queue, "rect", { x: start, y: 104, width: Math.max(reach, 2), height: 18,
      fill: "var(--amber)" });
    draw(queue, "line", { x1: start + reach, x2: start + reach, y1: 22, y2: 124,
      stroke: "var(--amber)", "stroke-width": 2, "stroke-dasharray": "4 3" });
  }
  draw(queue, "text", { x: 4, y: 140, class: "strong" },
    `fund's inventory: ${quantity((now.inventory || 0) * lot)}, closed by ADL: ${quantity(now.closed || 0)}`);
}
const sum = (blocks, offset) => {
  let total = 0;
  for (let i = offset; i < blocks.front.length; i += 4) total += blocks.front[i];
  return total;
};
function block(x, width, account, lots, taken, indicator, place) {
  const followed = account >= 0 && account === state.follow;
  const group = draw(queue, "g", { "data-account": account });
  draw(group, "rect", { x, y: 24, width: Math.max(width - 1, 0.5), height: 70,
    fill: `var(--i${indicator || 1})`, stroke: followed ? "var(--follow)" : "none",
    "stroke-width": 4 });
  if (taken) draw(group, "rect", { x, y: 24, width: Math.max(width - 1, 1),
    height: Math.max(70 * taken / Math.max(lots, 1), 2), fill: "var(--red)" });
  if (followed) draw(group, "text", { x: Math.min(x, 4000), y: 22, class: "strong" }, "▼");
  const lot = side().lot;
  const text = account < 0 ? `${place} more positions, ${quantity(lots * lot)}`
    : `${data.accounts[account]}: ${ordinal(place)} in the queue, ${quantity(lots * lot)}`;
  const cut = taken ? `; ADL closes ${quantity(taken * lot)} of it now` : "";
  draw(group, "title", {}, text + cut);
  group.onclick = () => { state.follow = followed ? -1 : account; tip.textContent = text + cut; show(); };
  return width;
}
const ordinal = (place) => {
  const end = place % 100 > 10 && place % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][place % 10] || "th";
  return `${place}${end}`;
};

// --- a frame ---

function followText() {
  const blocks = queueAt(state.frame)[0];
  const name = data.accounts[state.follow];
  let taken = 0;
  for (let at = 0; at <= state.frame; at++) {
    const list = sideAt(at).queue ? sideAt(at).queue.front : [];
    for (let i = 0; i < list.length; i += 4) if (list[i] === state.follow) taken += list[i + 2];
  }
  let place = 0;
  if (blocks) for (let i = 0; i < blocks.front.length; i += 4)
    if (blocks.front[i] === state.follow) place = i / 4 + 1;
  const where = place ? `${ordinal(place)} in the queue` : "not among the first of the queue";
  return `Following ${name}: ${where}; ADL has closed ${quantity(taken * side().lot)} of it under ` +
    `${data.variants[state.variant].rules}.`;
}
function show() {
  const width = Math.max(price.clientWidth, 200);
  const frame = frames()[state.frame], now = sideAt(state.frame), { contract, asset, pool } = side();
  say.replaceChildren(element("time", {}, data.times[state.frame]), frame.text);
  const marks = frames().map((one) => one.sides[state.side].mark);
  const money = frames().map((one) => (one.funds[pool] ? one.funds[pool][0] : null));
  const balance = frames().map((one) => (one.funds[pool] ? one.funds[pool][1] : null));
  timeChart(price, [{ values: marks, color: "var(--blue)" }], width, false);
  timeChart(fund, [{ values: money, color: "var(--amber)" },
    { values: balance, color: "var(--quiet)", dash: "4 3" }], width, true);
  drawQueue(width);
  const heading = (at, name, value) => headings[at].replaceChildren(name, element("span", {}, value));
  heading(0, `Mark of ${contract} `, now.mark === null ? "" : quantity(now.mark));
  heading(1, `Insurance fund ${pool} `, money[state.frame] === null ? ""
    : `equity ${number(money[state.frame])}, balance ${number(balance[state.frame])} ${asset}`);
  heading(2, `ADL queue of ${contract} ${side().side}s `, now.on ? "ADL is on" : "");
  price.setAttribute("aria-label", headings[0].textContent);
  fund.setAttribute("aria-label", headings[1].textContent);
  queue.setAttribute("aria-label",
    `${headings[2].textContent}. Inventory ${quantity((now.inventory || 0) * side().lot)}`);
  figures.replaceChildren(...[
    ["closed by ADL", `${quantity(now.closed || 0)}`],
    ["accounts deleveraged", number(now.accounts || 0)],
    [`haircut, ${asset}`, number(now.haircut || 0)],
    [`unfunded, ${asset}`, number(now.unfunded || 0)],
  ].map(([name, value]) => element("div", {}, element("b", {}, value), element("span", {}, name))));
  if (state.follow >= 0) tip.textContent = followText();
  slider.value = state.frame;
  slider.setAttribute("aria-valuetext", `${data.times[state.frame]}: ${frame.text}`);
  [...variants.children].forEach((button, index) =>
    button.setAttribute("aria-pressed", index === state.variant));
  play.textContent = state.playing ? "Pause" : state.frame === last ? "Again" : "Play";
}

// --- controls ---

let timer = 0;
function run() {
  clearTimeout(timer);
  if (!state.playing) return;
  timer = setTimeout(() => {
    if (state.frame < last) state.frame += 1;
    if (state.frame === last) state.playing = false;
    show();
    run();
  }, FRAME_MS / state.speed);
}
function toggle() {
  if (!state.playing && (!state.started || state.frame === last)) state.frame = 0;
  state.started = true;
  state.playing = !state.playing;
  show();
  run();
}
function move(frame) {
  state.frame = Math.min(Math.max(frame, 0), last);
  state.started = true;
  show();
}
function setSpeed(index) {
  state.speed = SPEEDS[Math.min(Math.max(index, 0), SPEEDS.length - 1)];
  speed.value = String(state.speed);
  run();
}
play.onclick = toggle;
slider.oninput = () => { state.playing = false; move(Number(slider.value)); };
speed.onchange = () => setSpeed(SPEEDS.indexOf(Number(speed.value)));
const next = (key, count) => { state[key] = (state[key] + 1) % count; show(); };
const KEYS = {
  " ": toggle,
  ArrowLeft: () => move(state.frame - 1),
  ArrowRight: () => move(state.frame + 1),
  Home: () => move(0),
  End: () => move(last),
  v: () => next("variant", data.variants.length),
  c: () => { next("side", data.sides.length); sides.value = String(state.side); },
  "+": () => setSpeed(SPEEDS.indexOf(state.speed) + 1),
  "-": () => setSpeed(SPEEDS.indexOf(state.speed) - 1),
};
addEventListener("keydown", (event) => {
  const inSelect = event.target.tagName === "SELECT" && event.key.length > 1;
  const onButton = event.target.tagName === "BUTTON" && event.key === " ";
  if (inSelect || onButton || event.ctrlKey || event.metaKey || event.altKey) return;
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
addEventListener("resize", show);
state.frame = Math.max(frames().findIndex((frame) => frame.sides[0].closed > 0), 0);
show();
