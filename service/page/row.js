// A row that is typed in, as what is sent: JSON, a curl line, Python, tab-separated values.

const JSON_NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/
const PLAIN_ID = /^(0|[1-9][0-9]{0,14})$/
const KEY_VARIABLE = "THIMBLE_KEY"

/** A value as JSON has it. What is no number is sent as it is, for the server to say so. */
function valueOf(feature, text) {
  const word = text.trim()
  if (feature.bag || feature.kind === "string" || feature.kind === "hex") return text
  if (feature.kind === "number") return JSON_NUMBER.test(word) && Number.isFinite(Number(word)) ? Number(word) : text
  return PLAIN_ID.test(word) ? Number(word) : text
}

/** The body of a request for one row. `texts` are by the names of `features`; blank is missing, and left out. */
export function requestOf(features, texts) {
  const present = features.filter(feature => texts.get(feature.name).trim() !== "")
  return {features: Object.fromEntries(present.map(feature => [feature.name, valueOf(feature, texts.get(feature.name))]))}
}

const quoted = text => `'${text.replaceAll("'", "'\\''")}'`

export function asCurl(url, request, withKey) {
  const key = withKey ? ` -H "Authorization: Bearer $${KEY_VARIABLE}"` : ""
  return `curl ${quoted(url)} -H 'Content-Type: application/json'${key} \\\n  -d ${quoted(JSON.stringify(request))}`
}

/**
 * For `thimble.client`; of `several` answers all are asked for. A text, a number or an object of these is the same in
 * JSON and in Python.
 */
export function asPython(server, model, version, request, withKey, several = false) {
  const given = [JSON.stringify(server), `model=${JSON.stringify(model)}`]
  if (version !== null) given.push(`version=${version}`)
  const row = Object.entries(request.features).map(pair => pair.map(it => JSON.stringify(it)).join(": "))
  if (withKey) given.push(`key=os.environ["${KEY_VARIABLE}"]`)
  return [
    ...(withKey ? ["import os", ""] : []),
    "from thimble.client import Client",
    "",
    `with Client(${given.join(", ")}) as client:`,
    `    print(client.score({${row.join(", ")}}${several ? ', outputs="all"' : ""}))`,
  ].join("\n")
}

/** A line, or an Error that says which value no line can hold. */
export function asTsv(features, texts) {
  return features.map(({name}) => {
    const text = texts.get(name)
    if (/[\t\r\n]/.test(text)) throw new Error(`${name}: no line can hold a tab or a line end`)
    if (text.trim() === "\\N") throw new Error(`${name}: in a line \\N stands for a missing value`)
    return text
  }).join("\t")
}
