// Elements. Whatever comes from a server becomes text and nothing else.

const SVG = "http://www.w3.org/2000/svg"

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value)
    else if (value === true) node.setAttribute(name, "")
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value)
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined))
  return node
}

/** An element with attributes, `onclick` and its like being listeners, and children, nodes or texts. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children)
}

/** The same for what is drawn. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children)
}

export const byId = id => document.getElementById(id)

/** Say something, unless it is said already: a screen reader would read it again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** A part of a model, as a badge. */
export function badge(part, text = part) {
  return element("span", {class: `badge ${part}`}, text)
}
