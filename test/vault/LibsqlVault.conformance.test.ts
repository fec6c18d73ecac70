import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import * as LibsqlVault from "effect-credentials/vault/LibsqlVault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { conforms } from "./conformance.js"

const layer = Layer.unwrapScoped(
  Effect.map(
    Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()),
    (directory) => LibsqlVault.layer({ path: `${directory}/vault/records.db` })
  )
).pipe(Layer.provide(NodeContext.layer))

conforms(
  "LibsqlVault",
  { writable: true, list: true, compareAndSet: "shared", lease: "shared", announce: "none" },
  layer
)
