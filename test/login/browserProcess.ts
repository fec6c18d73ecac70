/**
 * A process of its own that opens an address in the system's browser and has nothing more to do.
 */
import { BrowserLauncher } from "effect-credentials/login/BrowserLauncher"
import * as SystemBrowser from "effect-credentials/login/SystemBrowser"
import * as Effect from "effect/Effect"

const program = Effect.flatMap(BrowserLauncher, ({ open }) => open("https://idp.test/"))

void Effect.runPromise(Effect.provide(program, SystemBrowser.layer)).then(() =>
  process.stdout.write("opened")
)
