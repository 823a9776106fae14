// The dialog in which a key is entered, tried and forgotten.

import {ask, hasKey, useKey} from "./api.js"
import {byId, say} from "./dom.js"

/** What is wrong with a key, null if it is of use. */
async function problemOf(key, tried) {
  try {
    const {changes} = await ask(tried, {key})
    if (changes !== "with an admin key") return null
  } catch (refusal) {
    return refusal.message
  }
  try {
    await ask(tried, {key: null})
  } catch {
    return null // it is a key for scoring
  }
  return "this is no admin key, and without changes no key is needed here"
}

/** Wire it. `tried` is a path that only a key opens; `onKey` is called when another key is in use, or none. */
export function keyDialog(tried, onKey) {
  const dialog = byId("key-dialog"), field = byId("key"), button = byId("key-button")

  function open(why) {
    say(byId("key-why"), why)
    say(byId("key-problem"), "")
    byId("key-forget").hidden = !hasKey()
    field.value = ""
    field.removeAttribute("aria-invalid")
    if (!dialog.open) dialog.showModal()
    field.focus()
  }

  function close() {
    field.value = ""
    dialog.close()
  }

  byId("key-form").addEventListener("submit", async event => {
    event.preventDefault()
    const key = field.value.trim(), problem = await problemOf(key, tried)
    if (problem !== null) {
      say(byId("key-problem"), problem)
      field.setAttribute("aria-invalid", "true")
      field.select()
      return
    }
    useKey(key)
    close()
    onKey()
  })
  byId("key-forget").addEventListener("click", () => {
    useKey(null)
    close()
    onKey()
  })
  byId("key-cancel").addEventListener("click", close)
  button.addEventListener("click", () => open("With an admin key what is served can be changed here."))
  return {
    open,
    get isOpen() { return dialog.open },
    show() { button.hidden = false },
  }
}
