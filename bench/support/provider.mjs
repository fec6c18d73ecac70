// A fake identity provider. Peers that take a fetch function or a client talk to `answer` directly; those that only
// speak HTTP talk to the same `answer` on a loopback port. Nothing leaves the machine.
import { createServer } from "node:http"
import { pause } from "./rounds.mjs"

/**
 * A provider whose answers take `delay` milliseconds and whose tokens live for `lifetime` seconds. It counts what it
 * is asked; `down = true` makes it fail from then on.
 */
export const makeProvider = ({ lifetime, delay = 0 }) => {
  const provider = {
    lifetime,
    down: false,
    requests: 0,
    issued: 0,
    inFlight: 0,
    mostInFlight: 0,
    askedAt: [],
    answer: async () => {
      provider.requests++
      provider.askedAt.push(performance.now())
      provider.mostInFlight = Math.max(provider.mostInFlight, ++provider.inFlight)
      if (delay > 0) await pause(delay)
      provider.inFlight--
      if (provider.down) throw new Error("the provider is down")
      return {
        access_token: `token-${++provider.issued}`,
        token_type: "Bearer",
        expires_in: provider.lifetime
      }
    }
  }
  return provider
}

/** The answer as a `fetch` gives it. */
export const fetchOf = (provider) => async () => {
  try {
    return Response.json(await provider.answer())
  } catch {
    return new Response("down", { status: 503 })
  }
}

/** The provider on a loopback port. `url` is its token endpoint. */
export const serve = async (provider) => {
  const server = createServer((request, response) => {
    request.resume()
    provider.answer().then(
      (answer) => send(response, 200, JSON.stringify(answer)),
      () => send(response, 503, "{}")
    )
  })
  server.keepAliveTimeout = 60_000
  await new Promise((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 16_384 }, resolve))
  const origin = `http://127.0.0.1:${server.address().port}`
  return {
    origin,
    url: `${origin}/token`,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    }
  }
}

const send = (response, status, body) => {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body)
  })
  response.end(body)
}
