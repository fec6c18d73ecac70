/** A person with a real browser: Chromium without a window, which fills in the provider's development forms. */
import { FileSystem } from "@effect/platform"
import { Data, Effect } from "effect"
import type { Page } from "playwright-core"

export class NoBrowser extends Data.TaggedError("NoBrowser")<{ readonly place: string }> {}

/** Where Debian and its relatives install it, unless `CHROMIUM` says where it is. */
export const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

/** It talks to nobody but this machine: names are not looked up anywhere, and `localhost` needs no looking up. */
export const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE ::1, EXCLUDE localhost"
]

/** Logs in and consents, and gives the heading of the page that the browser ends at. */
export const approve = (url: string) =>
  Effect.gen(function*() {
    const isThere = yield* (yield* FileSystem.FileSystem).exists(executablePath)
    if (!isThere) return yield* new NoBrowser({ place: executablePath })
    const { chromium } = yield* Effect.promise(() => import("playwright-core"))
    const browser = yield* Effect.acquireRelease(
      Effect.promise(() => chromium.launch({ executablePath, args })),
      (browser) => Effect.promise(() => browser.close())
    )
    return yield* Effect.promise(async () => logIn(await browser.newPage(), url))
  }).pipe(Effect.scoped)

const logIn = async (page: Page, url: string): Promise<string> => {
  await page.goto(url, { waitUntil: "domcontentloaded" })
  await page.fill("[name=login]", "alice")
  await page.fill("[name=password]", "any")
  await page.click("button[type=submit]")
  await page.click("button[type=submit]")
  await page.waitForURL(/\/callback|\/done/, { waitUntil: "domcontentloaded" })
  return await page.locator("h1").innerText()
}
