// What else there is of a model, stored and refused, and its changes on a line of time.

import {element} from "./dom.js"
import {plural, time} from "./format.js"

const SHOWN = 20

/** What versions are for, in a sentence. */
export function inWords(state) {
  const said = [state.live === null ? "Nothing answers." : `Version ${state.live} answers.`]
  if (state.canary) said.push(`Version ${state.canary.version} is the canary.`)
  if (state.shadow) {
    said.push(`Version ${state.shadow.version} is a shadow${state.shadow.running ? "" : ", which does not run now"}: it is shown requests and answers none.`)
  }
  if (state.standby.length) said.push(`On standby, for requests that name it: ${state.standby.join(", ")}.`)
  if (state.taken_out.length) said.push(`Taken out by the server, for want of usable scores: ${state.taken_out.join(", ")}.`)
  said.push(state.following ? "Newer versions are followed." : "Newer versions are not followed.")
  return said.join(" ")
}

/** A list of which the first are shown, and the rest when asked for. */
function list(items, one, attributes = {}) {
  const node = element("ul", attributes, ...items.slice(0, SHOWN).map(one))
  if (items.length <= SHOWN) return [node]
  const more = element("button", {type: "button", onclick: () => {
    node.append(...items.slice(SHOWN).map(one))
    node.children[SHOWN].querySelector("button")?.focus()
    more.remove()
  }}, `Show all ${items.length.toLocaleString("en")}`)
  return [node, more]
}

/** Versions that are stored and not loaded, the newest first. `buttons` gives what can be done with one. */
export function storedList(stored, loaded, refused, buttons) {
  const others = stored.filter(version => !loaded.has(version) && !(version in refused)).reverse()
  if (!others.length) return []
  const one = version => element("li", {}, element("span", {}, `Version ${version}`), " ", ...buttons(version))
  return [element("h3", {}, `Stored and not loaded: ${plural(others.length, "version")}`), ...list(others, one, {class: "stored"})]
}

export function refusedList(refused) {
  const entries = Object.entries(refused)
  if (!entries.length) return []
  const one = ([version, reason]) => element("li", {}, element("b", {}, `Version ${version}: `), reason)
  return [element("h3", {}, "Refused"), ...list(entries, one, {class: "refused"})]
}

export function timeline(changes) {
  if (!changes.length) return [element("p", {class: "muted"}, "No change since the server started.")]
  const one = change => element("li", {},
    element("time", {datetime: new Date(change.time * 1000).toISOString()}, time(change.time)), " ",
    element("span", {}, change.message, change.by ? element("span", {class: "muted"}, `, by ${change.by}`) : null))
  return list(changes, one, {class: "timeline"})
}
