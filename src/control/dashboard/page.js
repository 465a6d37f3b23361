// The page's elements. Whatever comes from the API is written as text, never as HTML: ids, reasons and messages are
// others' words.

const find = (selector, root = document) => root.querySelector(selector);
const $ = (id) => document.getElementById(id);

// make("td.left", {title: "x"}, child, "text"…)
function make(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  element.append(...children.filter((child) => child != null));
  return element;
}

// Only what changed is touched: selections, focus and screen readers stay undisturbed.
function write(element, text) {
  text = text ?? "";
  if (element.textContent !== text) element.textContent = text;
}

// The children of `parent` are those of `items`, in their order: kept by key, made where new, moved only where they must.
function list(parent, items, key, create, update, mayMove = true) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const id = key(item);
    const element = old.get(id) ?? create(item);
    old.delete(id);
    element.dataset.key = id;
    update(element, item);
    return element;
  });
  for (const gone of old.values()) gone.remove();
  wanted.forEach((element, n) => {
    if (!element.parentNode) parent.append(element);
    if (mayMove && parent.children[n] !== element) parent.insertBefore(element, parent.children[n]);
  });
}
