/**
 * A person with a browser, scripted: follows the link, logs in, confirms the code and consents, by filling in the
 * provider's development forms.
 */
import { Data, Effect } from "effect"

export class Lost extends Data.TaggedError("Lost")<{ readonly message: string }> {}

interface Step {
  readonly url: string
  readonly form?: URLSearchParams
}

/** A person who follows a link, logs in and approves; the next link is opened in another browser. */
export const approve = (url: string): Effect.Effect<void, Lost> => browser()(url)

/** A browser that keeps its session: follows redirects and submits each form that it meets, until a page has none. */
export const browser = (): (url: string) => Effect.Effect<void, Lost> => {
  const cookies = new Map<string, string>()
  const walk = (step: Step, left: number): Effect.Effect<void, Lost> =>
    left === 0
      ? Effect.fail(new Lost({ message: "the provider's forms do not end" }))
      : Effect.flatMap(
        visit(step, cookies),
        (next) => next === undefined ? Effect.void : walk(next, left - 1)
      )
  return (url) => walk({ url }, 20)
}

const visit = (step: Step, cookies: Map<string, string>): Effect.Effect<Step | undefined, Lost> =>
  Effect.tryPromise({
    try: async () => {
      const response = await fetch(step.url, {
        redirect: "manual",
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
        ...(step.form === undefined ? {} : { method: "POST", body: step.form })
      })
      remember(cookies, response.headers.getSetCookie())
      const location = response.headers.get("location")
      const page = await response.text()
      return location === null ? fill(page, step.url) : { url: new URL(location, step.url).href }
    },
    catch: () => new Lost({ message: "the identity provider does not answer the person" })
  })

const remember = (cookies: Map<string, string>, lines: ReadonlyArray<string>): void => {
  for (const line of lines) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    cookies.set(name, value)
  }
}

/** The form of a page with its hidden values, and with a name where one is asked for. */
const fill = (page: string, url: string): Step | undefined => {
  const [, attributes = "", content = ""] = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(page) ?? []
  const action = attribute(attributes, "action")
  if (action === undefined) return undefined
  const form = new URLSearchParams()
  for (const [, input = ""] of content.matchAll(/<input([^>]*)>/g)) {
    const name = attribute(input, "name")
    if (name !== undefined) form.set(name, attribute(input, "value") ?? "alice")
  }
  if (attributes.includes("op.logoutForm")) form.set("logout", "yes")
  return { url: new URL(action, url).href, form }
}

const attribute = (text: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1]
