// The table of all models. A row is made once, and afterwards only what changes in it is written.

import {badge, byId, element, say} from "./dom.js"
import {UNKNOWN, bytes, milliseconds, number, plural} from "./format.js"

const COLUMNS = [
  {name: "Model"},
  {name: "Live", number: true},
  {name: "Beside it"},
  {name: "Requests/s", number: true},
  {name: "Rows/s", number: true, wide: true},
  {name: "99 %", number: true},
  {name: "Refused, failed/s", number: true},
  {name: "File", number: true, wide: true},
  {name: "Full tables", number: true, wide: true},
]
// So few are seen at a glance.
const FEW = 8

const rows = new Map()

/** Loaded versions by model, the live one first, as `/v1/models` lists them. */
export function byModel(described) {
  const models = new Map()
  for (const it of described) {
    if (!models.has(it.name)) models.set(it.name, [])
    models.get(it.name).push(it)
  }
  return models
}

export const linkTo = name => `#${new URLSearchParams({model: name})}`

export function showModels(models, selected) {
  byId("models").hidden = false
  const table = byId("models-table")
  if (!table.tBodies.length) table.append(head(), element("tbody"))
  for (const [name, row] of rows) {
    if (!models.has(name)) {
      row.node.remove()
      rows.delete(name)
    }
  }
  for (const [name, versions] of models) {
    const row = rows.get(name) ?? create(name, table.tBodies[0])
    fill(row, versions, name === selected)
  }
  byId("filter-line").hidden = models.size <= FEW
  filter()
}

/** What each did in the last minute. */
export function showRates(activity) {
  const sums = new Map()
  for (const it of activity.history.versions) {
    const sum = sums.get(it.model) ?? {requests: 0, rows: 0, bad: 0, p99: null}
    sum.requests += it.requests
    sum.rows += it.rows
    sum.bad += it.refused + it.failed
    if (it.p99_ms !== null) sum.p99 = Math.max(sum.p99 ?? 0, it.p99_ms)
    sums.set(it.model, sum)
  }
  for (const [name, row] of rows) {
    const sum = sums.get(name) ?? {requests: 0, rows: 0, bad: 0, p99: null}
    const [requests, all, p99, bad] = [row.cells[3], row.cells[4], row.cells[5], row.cells[6]]
    say(requests, number(sum.requests))
    say(all, number(sum.rows))
    say(p99, milliseconds(sum.p99))
    say(bad, number(sum.bad))
    bad.classList.toggle("bad", sum.bad > 0)
  }
}

export function wireFilter() {
  byId("filter").addEventListener("input", filter)
}

function filter() {
  const wanted = byId("filter").value.trim().toLowerCase()
  let shown = 0
  for (const [name, row] of rows) {
    row.node.hidden = !name.toLowerCase().includes(wanted)
    shown += !row.node.hidden
  }
  say(byId("filter-count"), wanted ? `${shown} of ${plural(rows.size, "model")}` : plural(rows.size, "model"))
}

const classOf = column => [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || null

function head() {
  const cells = COLUMNS.map(column => element("th", {scope: "col", class: classOf(column)}, column.name))
  return element("thead", {}, element("tr", {}, ...cells))
}

function create(name, body) {
  const link = element("a", {href: linkTo(name)}, name)
  const cells = COLUMNS.map((column, nth) =>
    nth ? element("td", {class: classOf(column)}) : element("th", {scope: "row"}, link))
  const row = {node: element("tr", {}, ...cells), cells, link, before: ""}
  rows.set(name, row)
  body.append(row.node)
  return row
}

function fill(row, versions, selected) {
  if (selected) row.link.setAttribute("aria-current", "true")
  else row.link.removeAttribute("aria-current")
  const now = versions.map(it => `${it.version} ${it.part}`).join()
  if (row.before === now) return
  row.before = now
  const live = versions.find(it => it.part === "live")
  const beside = versions.filter(it => it.part !== "live").slice(0, 4)
  say(row.cells[1], live ? String(live.version) : UNKNOWN)
  row.cells[2].replaceChildren(...beside.flatMap(it => [badge(it.part, `${it.part} ${it.version}`), " "]))
  say(row.cells[7], bytes(live?.file_bytes))
  say(row.cells[8], bytes(live?.full_table_bytes))
}
