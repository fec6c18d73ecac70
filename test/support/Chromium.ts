/**
 * A real browser without a screen, that reaches nothing but this machine, for as long as the scope is open.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import { chromium } from "playwright-core"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { args, executablePath } from "../../examples/demo/browser.js"

/** Whether tests may count on a browser: where servers are required, a missing one is a failure. */
export const available: boolean = existsSync(executablePath) || process.env["REQUIRE_SERVERS"] === "1"

export const make: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => chromium.launch({ executablePath, headless: true, args })),
  (browser) => Effect.promise(() => browser.close())
)

/** A window with a profile of its own. */
export const open = (
  browser: Browser,
  options: BrowserContextOptions = {}
): Effect.Effect<Page, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const context = await browser.newContext(options)
        context.setDefaultTimeout(15_000)
        return { context, page: await context.newPage() }
      }),
      ({ context }) => Effect.promise(() => context.close())
    ),
    ({ page }) => page
  )

/**
 * What a person does who opens the address: fills in the provider's development forms until they end. `abort`
 * declines at the first one instead.
 */
export const logIn = (
  page: Page,
  url: string,
  options: { readonly abort?: boolean } = {}
): Effect.Effect<void> =>
  Effect.promise(async () => {
    await page.goto(url, { waitUntil: "domcontentloaded" })
    if (options.abort === true) {
      await page.getByText("Cancel", { exact: false }).first().click()
      return
    }
    await page.locator("input[name=login]").fill("alice")
    await page.locator("input[name=password]").fill("any")
    await page.locator("button[type=submit]").click()
    await page.waitForURL((url) => url.pathname.includes("/interaction/"))
    await page.getByRole("button", { name: "Continue" }).click()
  })

/** The last page's heading, once it is there. */
export const heading = (page: Page): Effect.Effect<string> =>
  Effect.promise(() => page.locator("main h1").innerText())
