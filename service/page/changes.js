// Changes of what is served: what is asked of the server, what comes of it in words, and the dialog that asks once more.

import {CHANGE_WAIT_MS, ask, modelPath} from "./api.js"
import {byId, element, say} from "./dom.js"
import {share} from "./format.js"

const USUAL_PERCENT = 5

/** What is asked to be served, from what is: a release replaces the one before as a whole. */
function releaseOf(state, live, canary) {
  const taken = new Set([live, canary?.version])
  const shadow = state.shadow && !taken.has(state.shadow.version) ? {version: state.shadow.version, share: state.shadow.share} : null
  if (shadow) taken.add(shadow.version)
  return {live, ...(canary && {canary}), ...(shadow && {shadow}), also: state.also.filter(version => !taken.has(version))}
}

/** What becomes of everything but the version that is talked of. */
function besides(state, wanted) {
  const said = []
  if (state.canary && state.canary.version !== wanted.canary?.version && state.canary.version !== wanted.live) {
    said.push(`Version ${state.canary.version} is the canary no more.`)
  }
  if (state.shadow && !wanted.shadow) said.push(`Version ${state.shadow.version} is the shadow no more.`)
  if (state.following) said.push("Newer versions that appear in the repository are no longer made live by themselves.")
  return said
}

const loadedFirst = (state, version) =>
  [state.live, state.canary?.version, ...state.standby].includes(version) ? []
    : [`Version ${version} is verified and loaded before; until then, and if it is refused, all stays as it is.`]

const isShare = percent => Number.isFinite(percent) && percent > 0 && percent < 100

export function canaryChange(model, state, version) {
  const wanted = percent => releaseOf(state, state.live, {version, weight: percent / 100})
  return {
    title: `Canary: version ${version} of ${model}`,
    act: state.canary?.version === version ? "Change the share" : "Start this canary",
    percent: state.canary?.version === version ? Number((state.canary.weight * 100).toPrecision(12)) : USUAL_PERCENT,
    consequences: percent => isShare(percent) ? [
      ...loadedFirst(state, version),
      `Of the requests for ${model} that name no version, version ${version} answers ${share(percent / 100)} and version ${state.live} the rest.`,
      "Requests with a Routing-Key go by it, always the same keys; the others by chance.",
      `What version ${version} cannot score, version ${state.live} answers.`,
      ...besides(state, wanted(percent)),
    ] : ["The share is more than 0 % and less than 100 %."],
    possible: isShare,
    send: percent => put(model, wanted(percent)),
  }
}

export function endCanary(model, state) {
  const wanted = releaseOf(state, state.live, null)
  return {
    title: `No canary of ${model} any more`,
    act: "End the canary",
    consequences: () => [
      `Version ${state.live} answers all requests for ${model} that name no version, at once.`, ...besides(state, wanted),
    ],
    send: () => put(model, wanted),
  }
}

export function promotion(model, state, version) {
  const wanted = releaseOf(state, version, state.canary?.version === version ? null : state.canary)
  return {
    title: `Version ${version} of ${model} goes live`,
    act: `Make version ${version} live`,
    consequences: () => [
      ...loadedFirst(state, version),
      `Version ${version} answers all requests for ${model} that name no version${wanted.canary ? ", but for the canary's share" : ""}, in all workers.`,
      ...(state.live === null ? [] : [`Version ${state.live} answers them no more. It stays loaded, so that rolling back takes no time.`]),
      ...besides(state, wanted),
    ],
    send: () => put(model, wanted),
  }
}

export function rollback(model, state) {
  return {
    title: `${model} goes back`,
    act: "Roll back",
    consequences: () => [
      state.previous === null
        ? `The version before ${state.live} is looked for and loaded: the newest older one that takes the same features, or else the newest older one.`
        : `Version ${state.previous}, which was live before, answers all requests for ${model} that name no version, at once.`,
      `Version ${state.live} answers them no more.`,
      ...besides(state, {live: state.previous}),
    ],
    send: () => ask(`${modelPath(model)}/rollback`, {method: "POST", wait: CHANGE_WAIT_MS}),
  }
}

const put = (model, release) => ask(`${modelPath(model)}/release`, {method: "PUT", body: release, wait: CHANGE_WAIT_MS})

/** Say what comes of a change and ask once more. `onDone` is told what is served then. */
export function confirmChange(change, onDone) {
  const dialog = byId("change-dialog")
  const list = element("ul", {id: "change-consequences"})
  const problem = element("p", {class: "problem", role: "alert"}), status = element("p", {class: "muted", role: "status"})
  const field = change.percent === undefined ? null : element("input", {
    id: "change-percent", name: "change-percent", type: "number", min: 0, max: 100, step: "any", value: change.percent,
  })
  const act = element("button", {type: "submit", class: "danger"}, change.act)
  const cancel = element("button", {type: "button", onclick: () => dialog.close()}, "Leave all as it is")
  const percent = () => (field ? field.valueAsNumber : null)

  function describe() {
    list.replaceChildren(...change.consequences(percent()).map(line => element("li", {}, line)))
    act.disabled = field !== null && !change.possible(percent())
  }

  const form = element("form", {onsubmit: async event => {
    event.preventDefault()
    act.disabled = true
    say(problem, "")
    say(status, "Asked; a version that has to be loaded may take a while …")
    try {
      const state = await change.send(percent())
      dialog.close()
      onDone(state)
    } catch (refusal) {
      say(status, "")
      say(problem, refusal.message)
      act.disabled = false
    }
  }},
    element("h2", {id: "change-title"}, change.title),
    field && element("p", {}, element("label", {for: "change-percent"}, "Share of the requests, in % "), field),
    element("p", {id: "change-lead"}, "If you go on:"), list, problem, status,
    element("p", {class: "buttons"}, act, cancel))
  field?.addEventListener("input", describe)
  describe()
  dialog.replaceChildren(form)
  dialog.setAttribute("aria-describedby", "change-consequences")
  dialog.showModal()
  ;(field ?? cancel).focus()
  field?.select()
}
