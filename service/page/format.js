// Figures as people read them. What is not known is a dash.

export const UNKNOWN = "–"
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"]

const known = value => typeof value === "number" && Number.isFinite(value)

/** A number with so many significant digits, and none that the number does not have. */
export function number(value, digits = 3) {
  if (!known(value)) return UNKNOWN
  const shown = Math.abs(value) >= 10 ** digits ? Math.round(value) : Number(value.toPrecision(digits))
  return shown.toLocaleString("en", {maximumFractionDigits: 12})
}

/** A number with its sign. */
export function signed(value, digits = 2) {
  return known(value) ? `${value < 0 ? "−" : "+"}${number(Math.abs(value), digits)}` : UNKNOWN
}

export function fixed(value, places = 4) {
  return known(value) ? value.toFixed(places) : UNKNOWN
}

export function bytes(value) {
  if (!known(value)) return UNKNOWN
  const power = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), UNITS.length - 1)
  return `${number(value / 1000 ** power)} ${UNITS[power]}`
}

export function share(value, digits = 3) {
  return known(value) ? `${number(value * 100, digits)} %` : UNKNOWN
}

export function milliseconds(value) {
  if (!known(value)) return UNKNOWN
  return value < 1000 ? `${number(value)} ms` : `${number(value / 1000)} s`
}

/** "0.7931 (0.7902 to 0.7960)" */
export function withInterval(value, interval, places = 4) {
  return interval ? `${fixed(value, places)} (${fixed(interval[0], places)} to ${fixed(interval[1], places)})` : fixed(value, places)
}

/** A time of the day, with the day where it is another one. `seconds` since 1970. */
export function time(seconds) {
  const at = new Date(seconds * 1000)
  const clock = at.toLocaleTimeString([], {hour12: false})
  return at.toDateString() === new Date().toDateString() ? clock : `${at.toLocaleDateString()} ${clock}`
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`
}
