function savePng(svg, name) {
  const picture = new Image();
  picture.onload = () => {
    const canvas = element("canvas", { width: 1200, height: 700 });
    canvas.getContext("2d").drawImage(picture, 0, 0, 1200, 700);
    const link = element("a", { href: canvas.toDataURL("image/png"), download: `${name}.png` });
    link.click();
  };
  picture.src = address(svg);
}
const address = (svg) => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(
  svg.replace("<svg ", '<svg width="1200" height="700" '))}`;
const card = element("img", { class: "card", id: "card", src: address(data.svg), alt: data.rows[0][1] });
const save = element("button", { type: "button", id: "save" }, "Save as PNG");
save.onclick = () => savePng(data.svg, data.name);
const rows = data.rows.map(([name, text]) =>
  element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, text)));
document.getElementById("page").append(
  card,
  element("div", { class: "bar" }, save),
  element("table", { class: "rows" }, ...rows),
  element("h2", {}, "Verify it with the venue's journal"),
  ...data.commands.map((command) => element("pre", {}, command)),
  element("h2", {}, "Explanation, recomputed from the journal"),
  element("pre", { class: "text" }, data.explanation),
);
