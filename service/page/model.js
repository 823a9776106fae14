// The part of the page that is about one model.

import {byId, element, say} from "./dom.js"
import {canaryChange, confirmChange, endCanary, promotion, rollback} from "./changes.js"
import {factsTable} from "./facts.js"
import {inWords, refusedList, storedList, timeline} from "./releases.js"
import {scoringForm} from "./scoring.js"

// So many columns are compared; more are for who asks.
const COLUMNS = 12

/** The part for a model. `onChanged` is called with a sentence when something else is served. */
export function modelPart(name, onChanged) {
  const title = element("h2", {id: "model-title", tabindex: "-1"}, name)
  const roles = element("p", {id: "model-roles"}), told = element("p", {id: "model-told", class: "told", role: "status"})
  const facts = element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": `Versions of ${name}`})
  const more = element("div"), form = element("div"), others = element("div"), changes = element("div")
  const acts = element("p", {class: "buttons"}), hint = element("p", {class: "muted"})
  const node = element("div", {},
    element("section", {"aria-labelledby": "model-title"}, title, roles, told, acts, hint, facts, more, others),
    element("section", {"aria-labelledby": "score-title"}, element("h2", {id: "score-title"}, "Score a row"), form),
    element("section", {"aria-labelledby": "changes-title"}, element("h2", {id: "changes-title"}, "Changes"), changes))
  byId("model").replaceChildren(node)
  byId("model").hidden = false
  let table = null, formOf = "", changesShown = "", servedShown = "", rates = new Map(), all = false

  const ask = change => confirmChange(change, state => {
    say(told, `Done. ${inWords(state)}`)
    title.focus()
    onChanged()
  })
  const button = (text, make) => element("button", {type: "button", onclick: () => ask(make())}, text)

  function buttonsOf(state, version) {
    if (!state.mayChange || version === state.live) return []
    const isCanary = version === state.canary?.version
    return [
      button("Make live …", () => promotion(name, state, version)),
      ...(state.live === null || version === state.shadow?.version ? []
        : [button(isCanary ? "Weight …" : "Canary …", () => canaryChange(name, state, version))]),
      ...(isCanary ? [button("End canary …", () => endCanary(name, state))] : []),
    ].flatMap(it => [it, " "])
  }

  function showFacts(versions, state) {
    const shown = all ? versions : versions.slice(0, COLUMNS)
    table = factsTable(shown, state.canary?.weight, it => buttonsOf(state, it.version))
    table.showRates(rates)
    facts.replaceChildren(table.node)
    more.replaceChildren(...(shown.length === versions.length ? [] : [element("button", {type: "button", onclick: () => {
      all = true
      showFacts(versions, state)
    }}, `Show all ${versions.length} versions that are loaded`)]))
  }

  return {
    name,
    /** `state` is what is served of it, with `stored`, `refused` (null where that may not be known) and `mayChange`. */
    show(versions, state) {
      const served = JSON.stringify([versions, state])
      if (served === servedShown) return
      servedShown = served
      say(roles, inWords(state))
      showFacts(versions, state)
      const canGoBack = state.mayChange && state.live !== null
      acts.replaceChildren(...(canGoBack ? [button("Roll back …", () => rollback(name, state))] : []))
      say(hint, state.hint)
      hint.hidden = !state.hint
      const loaded = new Set([...versions.map(it => it.version), state.shadow?.version])
      others.replaceChildren(
        ...refusedList(state.refused ?? {}),
        ...storedList(state.stored, loaded, state.refused ?? {}, version => buttonsOf(state, version)))
      const askedOf = JSON.stringify(versions.map(it => [it.version, it.part, it.example, it.features]))
      if (askedOf !== formOf) {
        formOf = askedOf
        form.replaceChildren(versions.length ? scoringForm(name, versions)
          : element("p", {class: "muted"}, "No version is loaded that could score."))
      }
    },
    /** What its versions did in the last minute, and what has changed. */
    showActivity(activity) {
      const own = activity.history.versions.filter(it => it.model === name)
      rates = new Map(own.map(it => [it.version, it]))
      table?.showRates(rates)
      const told = activity.releases.filter(it => it.model === name), written = JSON.stringify(told)
      if (written === changesShown) return
      changesShown = written
      changes.replaceChildren(...timeline(told))
    },
  }
}
