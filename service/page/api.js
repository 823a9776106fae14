// The server's routes. The key is in this tab alone, and goes in the header that the server reads, never in a URL.

const STORED = "thimble-key"
const WAIT_MS = 20_000
// A version may take as long to be verified as the server lets it.
export const CHANGE_WAIT_MS = 660_000

/** Why the server does not do what it was asked. `status` is 0 where it did not answer. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence)
    this.status = status
  }
}

export const hasKey = () => sessionStorage.getItem(STORED) !== null

export function useKey(key) {
  if (key === null) sessionStorage.removeItem(STORED)
  else sessionStorage.setItem(STORED, key)
}

/** Where a path is on this server, also where a proxy has it below another one. */
export const urlOf = path => new URL(path, document.baseURI)

/** What the server answers, as JSON. Refusal. `key` is tried in place of the one that is in use. */
export async function ask(path, {method = "GET", body, key = sessionStorage.getItem(STORED), wait = WAIT_MS} = {}) {
  if (key !== null && /[^\x21-\x7e]/.test(key)) throw new Refusal(401, "a key is printable ASCII without spaces")
  const headers = body === undefined ? {} : {"Content-Type": "application/json"}
  if (key !== null) headers.Authorization = `Bearer ${key}`
  let answer, text
  try {
    const options = {method, headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(wait)}
    answer = await fetch(urlOf(path), {...options, body: body === undefined ? undefined : JSON.stringify(body)})
    text = await answer.text()
  } catch (error) {
    throw new Refusal(0, error.name === "TimeoutError" ? `no answer within ${wait / 1000} s` : "the server does not answer")
  }
  let found
  try {
    found = JSON.parse(text)
  } catch {
    throw new Refusal(answer.status, `the answer, of status ${answer.status}, is not the server's own`)
  }
  if (!answer.ok) throw new Refusal(answer.status, found?.error ?? `status ${answer.status}`)
  return found
}

export const modelPath = name => `v1/models/${encodeURIComponent(name)}`
