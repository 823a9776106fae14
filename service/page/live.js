// What the server did in the last minutes: a tile a figure, with its value now and a line.

import {lines} from "./charts.js"
import {byId, element, say} from "./dom.js"
import {UNKNOWN, bytes, milliseconds, number, plural, time} from "./format.js"

const rates = name => history => [history.rates.map(it => it[name])]
const TILES = [
  {name: "Requests a second", of: rates("requests"), shown: number},
  {name: "Rows a second", of: rates("rows"), shown: number},
  {name: "Half answered within", of: rates("median_ms"), shown: milliseconds},
  {name: "99 in 100 answered within", of: rates("p99_ms"), shown: milliseconds},
  {name: "Rows that wait", of: rates("queued"), shown: number},
  {name: "Refused a second", of: rates("refused"), shown: number, bad: true, why: "429, 503 and 504"},
  {name: "Failed a second", of: rates("failed"), shown: number, bad: true, why: "500"},
  {name: "Bad requests a second", of: rates("invalid"), shown: number, why: "400 and its like"},
  {name: "Memory", of: history => [history.memory_bytes], shown: bytes, why: "of all workers"},
]

const tiles = new Map()
let latest = null

/** Show the history of `model`, null being all models. */
export function showLive(activity, model) {
  const history = activity.history
  latest = history
  byId("now").hidden = false
  const minutes = Math.max(1, Math.round((history.times.length * activity.interval_s) / 60))
  const counted = history.times.length
    ? `${model === null ? "All models" : `Model ${model}`}, all workers: the last ${minutes === 1 ? "minute" : plural(minutes, "minute")}, ${plural(activity.interval_s, "second")} a point.`
    : "Nothing is counted yet; the first figures come within ten seconds."
  say(byId("now-of"), counted)
  for (const tile of TILES) update(tile, history)
}

function update(tile, history) {
  const parts = tiles.get(tile.name) ?? create(tile)
  const series = tile.of(history)
  const now = series[0].at(-1)
  const most = Math.max(0, ...series.flat().filter(value => value !== null))
  parts.node.classList.toggle("bad", Boolean(tile.bad) && now > 0)
  if (!parts.pointed) say(parts.value, tile.shown(now))
  say(parts.most, series[0].length ? `at most ${tile.shown(most)}` : UNKNOWN)
  const label = `${tile.name}: now ${tile.shown(now)}, at most ${tile.shown(most)}`
  parts.chart.replaceChildren(lines(series, label))
}

function create(tile) {
  const value = element("dd", {class: "value"}), most = element("dd", {class: "muted"})
  const chart = element("div", {class: "chart"})
  const why = tile.why ? [" ", element("small", {}, tile.why)] : []
  const node = element("div", {class: "tile"}, element("dl", {}, element("dt", {}, tile.name, ...why), value, most), chart)
  const parts = {node, value, most, chart, pointed: false}
  chart.addEventListener("pointermove", event => {
    const values = tile.of(latest)[0], box = chart.getBoundingClientRect()
    const at = values.length - 1 - Math.round((1 - (event.clientX - box.left) / box.width) * (Math.max(values.length, 2) - 1))
    parts.pointed = values[at] !== undefined
    if (parts.pointed) say(value, `${tile.shown(values[at])} at ${time(latest.times[at])}`)
  })
  chart.addEventListener("pointerleave", () => {
    parts.pointed = false
    say(value, tile.shown(tile.of(latest)[0].at(-1)))
  })
  tiles.set(tile.name, parts)
  byId("tiles").append(node)
  return parts
}
