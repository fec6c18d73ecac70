// Everybody that ours is measured against.
//
// A peer is `{ name, window, slow, make }`: `window` is how many seconds before its expiry a token counts as used up
// (so that tokens of `window + 2` seconds need a renewal every 2 seconds), `slow` marks those that can't take the
// full load, and `make(provider)` answers `{ get, close }` over a fake provider.
import { aws, smithy } from "./aws.mjs"
import { azureBearer, clientSecretCredential } from "./azure.mjs"
import { effectBuiltIns } from "./effectBuiltIns.mjs"
import { google, googleHeaders } from "./google.mjs"
import { handWritten } from "./handWritten.mjs"
import { msal } from "./msal.mjs"
import { openidClient } from "./openidClient.mjs"
import { simpleOauth2 } from "./simpleOauth2.mjs"

export const vendors = [google, googleHeaders, smithy, aws, azureBearer, msal, clientSecretCredential]

export const peers = [
  handWritten,
  openidClient,
  simpleOauth2,
  smithy,
  aws,
  google,
  googleHeaders,
  azureBearer,
  msal,
  clientSecretCredential,
  ...effectBuiltIns
]

export { effectBuiltIns, handWritten, smithy }
