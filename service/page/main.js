// The page: it asks the server every few seconds what it did, and for the rest when something else is served.

import {Refusal, ask, hasKey, modelPath} from "./api.js"
import {byId, say} from "./dom.js"
import {keyDialog} from "./key.js"
import {showLive} from "./live.js"
import {byModel, showModels, showRates, wireFilter} from "./models.js"
import {modelPart} from "./model.js"

const REFRESH_MS = 5000
const ACTIVITY = "v1/activity"
const HINTS = {
  "with an admin key": "With an admin key versions can be changed here, and it is told which are refused and why.",
  no: "Nothing can be changed here: no admin keys are set, or one file is served.",
}

let models = new Map(), served = null, changes = null, part = null, timer = 0, running = null
let askedForKey = false
const key = keyDialog(ACTIVITY, again)

const wanted = () => new URLSearchParams(location.hash.slice(1)).get("model")
const selected = () => (models.has(wanted()) ? wanted() : models.keys().next().value ?? null)

function again() {
  served = null
  askedForKey = false
  refresh()
}

/** Ask now, and from then on every few seconds. One round at a time. */
function refresh() {
  clearTimeout(timer)
  running = (running ?? Promise.resolve()).then(round).finally(() => {
    clearTimeout(timer)
    if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS)
  })
}

async function round() {
  try {
    const only = byId("only").checked && part ? part.name : null
    let activity
    try {
      activity = await ask(only === null ? ACTIVITY : `${ACTIVITY}?${new URLSearchParams({model: only})}`)
    } catch (refusal) {
      if (refusal.status !== 404) throw refusal
      activity = await ask(ACTIVITY) // that model is gone
    }
    state(activity.fault === null ? "ready" : "bad", activity.fault ?? "ready")
    if (hasKey() || activity.changes === "with an admin key") key.show()
    if (activity.served !== served || activity.changes !== changes || part?.name !== (wanted() ?? part?.name)) {
      await load(activity)
    }
    byId("only-line").hidden = models.size < 2
    say(byId("only-name"), part?.name ?? "")
    showLive(activity, only)
    showRates(activity)
    part?.showActivity(activity)
    askedForKey = false
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal
    if (refusal.status === 401) {
      key.show()
      state("bad", "a key is needed")
      for (const id of ["now", "models", "model"]) byId(id).hidden = true
      served = null
      if (!key.isOpen && !askedForKey) key.open(hasKey() ? "The key that was entered is not known any more." : "This server tells and scores for those with a key.")
      askedForKey = true
    } else {
      state("bad", refusal.message)
    }
  }
}

/** What is served, and what there is of the model that is looked at. */
async function load(activity) {
  models = byModel(await ask("v1/models"))
  const name = selected()
  showModels(models, name)
  if (name === null) {
    byId("model").hidden = true
    part = null
  } else {
    const found = await ask(modelPath(name)), mayChange = activity.changes === "yes"
    const release = mayChange ? await ask(`${modelPath(name)}/release`) : {...found.release, live: found.live, stored: found.stored, refused: null}
    if (part?.name !== name) part = modelPart(name, again)
    byId("model").hidden = false
    part.show(models.get(name), {...release, mayChange, hint: HINTS[activity.changes] ?? ""})
    document.title = `${name} – Thimble`
  }
  served = activity.served
  changes = activity.changes
}

function state(kind, text) {
  byId("state").className = kind
  say(byId("state-text"), text)
}

wireFilter()
byId("only").addEventListener("change", refresh)
addEventListener("hashchange", () => {
  served = null
  refresh()
})
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh()
})
refresh()
