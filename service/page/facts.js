// The versions of a model that are loaded, side by side: a column each, a row a fact.

import {badge, element, say} from "./dom.js"
import {UNKNOWN, bytes, milliseconds, number, share, signed, withInterval} from "./format.js"

const PROVIDER = /ExecutionProvider$/
const measured = (it, show) => (it.metrics ? show(it.metrics) : UNKNOWN)
const counted = (it, rates, show) => (rates ? show(rates) : UNKNOWN)

const GROUPS = [
  {name: "In the last minute", changing: true, facts: [
    {name: "Requests a second", of: (it, rates) => counted(it, rates, r => number(r.requests))},
    {name: "Rows a second", of: (it, rates) => counted(it, rates, r => number(r.rows))},
    {name: "Half, and 99 in 100, within", of: (it, rates) => counted(it, rates, r => `${milliseconds(r.median_ms)}, ${milliseconds(r.p99_ms)}`)},
    {name: "Refused, failed a second", of: (it, rates) => counted(it, rates, r => `${number(r.refused)}, ${number(r.failed)}`)},
  ]},
  {name: "As exported, on held-out rows", facts: [
    {name: "AUC (95 %)", of: it => measured(it, m => withInterval(m.auc, m.auc_interval))},
    {name: "Log loss (95 %)", of: it => measured(it, m => withInterval(m.log_loss, m.log_loss_interval))},
    {name: "Calibration: mean score over base rate (95 %)", of: it => measured(it, m => withInterval(m.calibration, m.calibration_interval, 3))},
    {name: "Base rate", of: it => measured(it, m => share(m.base_rate))},
    {name: "Rows", of: it => measured(it, m => number(m.rows, 12))},
  ]},
  {name: "Size", facts: [
    {name: "The file model.onnx", of: it => bytes(it.file_bytes)},
    {name: "Embeddings in it", of: it => bytes(it.embedding_bytes)},
    {name: "The same as full tables", of: it => bytes(it.full_table_bytes)},
    {name: "Embeddings are smaller", of: it => smaller(it.full_table_bytes / it.embedding_bytes)},
  ]},
  {name: "How it runs", facts: [
    {name: "Precision", of: it => it.precision},
    {name: "What the precision cost", of: it => cost(it.precision_cost)},
    {name: "Scheme", of: it => it.scheme},
    {name: "Lookup", of: it => it.lookup ?? "of ordinary tables"},
    {name: "Provider", of: it => it.provider.replace(PROVIDER, "")},
  ]},
]

function smaller(times) {
  return times > 1 && Number.isFinite(times) ? `${number(times)} times` : UNKNOWN
}

function cost(it) {
  if (!it) return "not measured"
  const auc = it.auc === null ? "" : `AUC ${signed(it.auc)}, `
  return `${auc}log loss ${signed(it.log_loss)}, on ${number(it.rows, 12)} rows`
}

/** A table of versions, which `showRates` fills in, and fills in again, with what each did, by version. `buttons` gives
 * what can be done with one. */
export function factsTable(versions, canaryWeight, buttons) {
  const columns = versions.map(it => {
    const words = it.part === "canary" && canaryWeight ? `canary, ${share(canaryWeight)}` : it.part
    return element("th", {scope: "col"}, `Version ${it.version} `, badge(it.part, words))
  })
  const changing = []
  const body = GROUPS.flatMap(group => [
    element("tr", {class: "group"}, element("th", {scope: "colgroup", colspan: versions.length + 1}, group.name)),
    ...group.facts.map(fact => {
      const cells = versions.map(it => {
        const cell = element("td", {}, fact.of(it))
        if (group.changing) changing.push(rates => say(cell, fact.of(it, rates.get(String(it.version)))))
        return cell
      })
      return element("tr", {}, element("th", {scope: "row"}, fact.name), ...cells)
    })])
  const acts = versions.map(buttons)
  if (acts.some(it => it.length)) {
    const cells = acts.map(it => element("td", {class: "acts"}, ...it))
    body.push(element("tr", {}, element("th", {scope: "row"}, "Change what is served"), ...cells))
  }
  const head = element("thead", {}, element("tr", {}, element("td"), ...columns))
  const node = element("table", {class: "facts"}, head, element("tbody", {}, ...body))
  return {node, showRates: rates => changing.forEach(show => show(rates))}
}
