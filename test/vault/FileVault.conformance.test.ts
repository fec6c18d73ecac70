import { conforms } from "./conformance.js"
import { layer } from "./temporary.js"

conforms("FileVault", {
  writable: true,
  list: true,
  compareAndSet: "process",
  lease: "shared",
  announce: "none"
}, layer)
