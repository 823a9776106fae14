// Small charts, drawn as SVG. Beside each of them the same is said in words.

import {drawn} from "./dom.js"

const WIDTH = 240, HEIGHT = 56, EDGE = 2
// Log-odds at the ends of the axis of scores, and the scores that are marked on it.
const SCORES = {low: -8, high: 6, marks: [0.001, 0.01, 0.1, 0.5, 0.9, 0.99]}
const AXIS = {width: 400, height: 62, line: 32}

const known = value => value !== null && value !== undefined

/** A line for each of some series of equal length, from 0 to the largest of their values; null is a gap. */
export function lines(series, label) {
  const most = Math.max(0, ...series.flat().filter(known)) || 1
  const count = Math.max(...series.map(values => values.length), 2)
  const place = (value, at) => {
    const x = EDGE + (at / (count - 1)) * (WIDTH - 2 * EDGE)
    return `${x.toFixed(1)},${(HEIGHT - EDGE - (value / most) * (HEIGHT - 2 * EDGE)).toFixed(1)}`
  }
  const paths = series.flatMap((values, nth) => [
    drawn("path", {class: `line line-${nth}`, d: path(values, place, count - values.length)}),
    ...dots(values, place, count - values.length, nth),
  ])
  const base = drawn("line", {class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5})
  return drawn("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none"}, base, ...paths)
}

/** The newest values are at the right end, whatever number of them there is. */
function path(values, place, shift) {
  let drawing = false
  return values.map((value, at) => {
    const step = known(value) ? `${drawing ? "L" : "M"}${place(value, at + shift)}` : ""
    drawing = known(value)
    return step
  }).join("")
}

/** A value between two gaps is no line. */
function dots(values, place, shift, nth) {
  return values.flatMap((value, at) => {
    if (!known(value) || known(values[at - 1]) || known(values[at + 1])) return []
    const [cx, cy] = place(value, at + shift).split(",")
    return [drawn("circle", {class: `dot-${nth}`, cx, cy, r: 1.5})]
  })
}

export const logOdds = score => Math.log(score / (1 - score))

const across = score => {
  const clipped = Math.min(Math.max(logOdds(score), SCORES.low), SCORES.high)
  return ((clipped - SCORES.low) / (SCORES.high - SCORES.low)) * AXIS.width
}

/** Scores on an axis of log-odds, the last one marked, the others being those before; and the base rate, if known. */
export function scoreAxis(scores, baseRate) {
  const {line} = AXIS
  const marks = SCORES.marks.flatMap(score => [
    drawn("line", {class: "base", x1: across(score), x2: across(score), y1: line - 4, y2: line + 4}),
    drawn("text", {class: "mark", x: across(score), y: line + 20, "text-anchor": "middle"}, `${score * 100} %`),
  ])
  const base = known(baseRate) && baseRate > 0 && baseRate < 1 ? [
    drawn("line", {class: "rate", x1: across(baseRate), x2: across(baseRate), y1: 14, y2: line + 6}),
    drawn("text", {class: "mark", x: across(baseRate), y: 10, "text-anchor": "middle"}, "base rate"),
  ] : []
  const last = scores.length - 1
  const points = scores.map((score, at) =>
    drawn("circle", {class: at === last ? "score" : "score before", cx: across(score), cy: line, r: at === last ? 7 : 4}))
  const axis = drawn("line", {class: "base", x1: 0, x2: AXIS.width, y1: line, y2: line})
  return drawn("svg", {viewBox: `-8 0 ${AXIS.width + 16} ${AXIS.height}`, "aria-hidden": "true"}, axis, ...marks, ...base, ...points)
}
