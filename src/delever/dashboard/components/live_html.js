// Displays HTML; a change touches only the nodes that differ, so focus, scroll position and
// selection stay. Elements with a data-key are recognized wherever they move.
export default {
  template: "<div></div>",
  props: { content: String },
  mounted() {
    this.$el.innerHTML = this.content;
  },
  watch: {
    content(html) {
      const template = document.createElement("template");
      template.innerHTML = html;
      patchChildren(this.$el, template.content);
    },
  },
};

function patchChildren(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let place = parent.firstChild;
  for (const child of [...wanted.childNodes]) {
    const node = matching(child, place, keyed);
    if (node === null) {
      parent.insertBefore(child, place);
      continue;
    }
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
    patch(node, child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function matching(child, place, keyed) {
  const key = child.dataset?.key;
  if (key) return keyed.get(key) ?? null;
  return place && !place.dataset?.key && place.nodeName === child.nodeName ? place : null;
}

function patch(node, wanted) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.data !== wanted.data && !isSelected(node)) node.data = wanted.data;
    return;
  }
  for (const { name } of [...node.attributes]) {
    if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  patchChildren(node, wanted);
}

function isSelected(node) {
  const selection = document.getSelection();
  return !selection.isCollapsed && selection.containsNode(node, true);
}
