// A form with a row filled in: it is scored, a value is changed, the score is seen to move, and the row is copied.

import {ask, hasKey, modelPath, urlOf} from "./api.js"
import {logOdds, scoreAxis} from "./charts.js"
import {element, say} from "./dom.js"
import {number, share, signed} from "./format.js"
import {asCurl, asPython, asTsv, requestOf} from "./row.js"

const KINDS = {number: "number", int: "integer id", hex: "hexadecimal token", string: "text"}
const SHOWN_SCORES = 12
const COPIES = ["curl", "Python", "TSV"]
const ANY = ""

/** The form for the `versions` of a model, the first of which says what features there are. */
export function scoringForm(model, versions) {
  const first = versions[0], features = first.features
  const inputs = new Map()
  let scores = [], lastSent = null

  const which = element("select", {id: "row-version", name: "row-version"},
    element("option", {value: ANY}, "whichever answers"),
    ...versions.map(it => element("option", {value: it.version}, `version ${it.version}, ${it.part}`)))
  const outputs = first.outputs, several = outputs.length > 1
  const answers = element("select", {id: "row-answer", name: "row-answer", "aria-label": "answer"},
    ...outputs.map(name => element("option", {value: name}, name)))
  const wanted = () => (several ? answers.value : outputs[0])
  const baseRate = () => (wanted() === outputs[0] ? first.metrics : first.metrics?.others?.[wanted()])?.base_rate ?? null
  const output = element("output", {class: "score-now", for: "row-form"})
  const moved = element("p", {id: "row-moved", role: "status", "aria-live": "polite"})
  const axis = element("div", {class: "axis"})
  const problem = element("p", {class: "problem", role: "alert"})
  const copied = element("p", {class: "muted", role: "status"})
  const copy = element("textarea", {id: "row-copy", name: "row-copy", readonly: true, rows: 7, spellcheck: "false"})
  const ways = COPIES.map(way => element("button", {type: "button", onclick: () => copyAs(way)}, `Copy as ${way}`))

  const texts = () => new Map([...inputs].map(([name, input]) => [name, input.value]))
  const version = () => (which.value === ANY ? null : which.value)
  let last = null
  const path = () => `${modelPath(model)}${version() === null ? "" : `/versions/${version()}`}/score`

  async function score() {
    const request = requestOf(features, texts()), sent = JSON.stringify([path(), request])
    if (sent === lastSent) return
    lastSent = sent
    try {
      const answer = await ask(path(), {method: "POST", body: request})
      if (sent !== lastSent) return // another row was sent meanwhile
      blame(null)
      show(answer)
    } catch (refusal) {
      if (sent !== lastSent) return
      lastSent = null
      blame(refusal.message)
    }
  }

  function show(answer) {
    last = answer
    const now = (several ? answer.scores[wanted()] : answer.scores)[0], before = scores.at(-1)
    scores = [...scores, now].slice(-SHOWN_SCORES)
    say(output, String(now))
    const words = [`${share(now)}, by version ${answer.version}`]
    if (before !== undefined) {
      const step = logOdds(now) - logOdds(before)
      words.push(now === before ? "as before" : `${signed(now - before)} from ${before}, log-odds ${signed(step)}`)
    }
    if (baseRate()) words.push(`${number(now / baseRate())} times the base rate`)
    say(moved, words.join("; "))
    axis.replaceChildren(scoreAxis(scores, baseRate()))
  }

  /** Another answer of the same row: what others moved by says nothing of it. */
  function choose() {
    scores = []
    if (last) show(last)
    else axis.replaceChildren(scoreAxis(scores, baseRate()))
  }

  /** Say what is wrong, where the feature that is named is. */
  function blame(sentence) {
    say(problem, sentence ?? "")
    for (const [name, input] of inputs) {
      if (sentence?.startsWith(`${name}:`)) {
        input.setAttribute("aria-invalid", "true")
        input.focus()
      } else input.removeAttribute("aria-invalid")
    }
  }

  async function copyAs(way) {
    const request = requestOf(features, texts())
    try {
      const server = urlOf(".").href.replace(/\/$/, "")
      if (way === "curl") copy.value = asCurl(urlOf(path()).href, request, hasKey())
      else if (way === "Python") copy.value = asPython(server, model, version(), request, hasKey(), several)
      else copy.value = asTsv(features, texts())
    } catch (error) {
      blame(error.message)
      return
    }
    blame(null)
    copy.parentNode.hidden = false
    copy.select()
    try {
      await navigator.clipboard.writeText(copy.value)
      say(copied, `Copied as ${way}.`)
    } catch { // no clipboard without TLS, but on this machine itself
      say(copied, `As ${way}. It is selected: copy it with the keyboard.`)
      copy.focus()
    }
  }

  function fillIn(row) {
    for (const [name, input] of inputs) input.value = row[name] ?? ""
  }

  const fields = features.map((feature, place) => {
    const id = `row-${place}`
    const input = element("input", {
      id, name: `row.${feature.name}`, type: "text", autocomplete: "off", spellcheck: "false",
      inputmode: feature.kind === "number" ? "text" : null, "aria-describedby": `${id}-kind`,
    })
    inputs.set(feature.name, input)
    return element("div", {class: "field"},
      element("label", {for: id}, feature.name), input, element("small", {id: `${id}-kind`}, described(feature)))
  })
  const form = element("form", {
    id: "row-form", class: "row", novalidate: true,
    onsubmit: event => { event.preventDefault(); score() },
    onchange: event => {
      if (event.target === answers) choose()
      else if (scores.length || lastSent) score()
    },
  },
    element("div", {class: "result"},
      element("p", {class: "ask"}, element("button", {type: "submit", class: "primary"}, "Score the row"),
        " ", element("label", {for: "row-version"}, "by"), " ", which),
      element("p", {class: "answer"},
        ...(several ? [answers, " "] : [element("span", {class: "muted"}, "click probability ")]), output), moved, axis, problem,
      element("p", {class: "buttons"}, ...ways,
        element("button", {type: "button", onclick: () => { fillIn(first.example); score() }}, "Fill in again"),
        element("button", {type: "button", onclick: () => { fillIn({}); score() }}, "Leave all out")),
      element("div", {hidden: true}, element("label", {for: "row-copy"}, "To be copied"), copy, copied)),
    element("fieldset", {class: "fields"}, element("legend", {}, "The row: made-up values; blank is missing"), ...fields))
  fillIn(first.example)
  axis.replaceChildren(scoreAxis([], baseRate()))
  return form
}

function described(feature) {
  if (!feature.bag) return KINDS[feature.kind]
  const {values, separator, keep} = feature.bag
  const between = separator === " " ? "a blank" : separator
  return `${KINDS[feature.kind]}s, ${between} between them; the ${keep} ${values} count`
}
