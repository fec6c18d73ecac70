// What people write by hand: the token that is held, or the one promise that everybody waits for.
export const handWritten = {
  name: "hand-written JS single flight",
  window: 0,
  make: async (provider) => {
    let held
    let flight
    const renew = async () => {
      try {
        const answer = await provider.answer()
        held = { value: answer.access_token, expiresAt: Date.now() + answer.expires_in * 1000 }
        return held
      } finally {
        flight = undefined
      }
    }
    const get = async () => {
      if (held !== undefined && held.expiresAt > Date.now()) return held
      flight ??= renew()
      return flight
    }
    return { get }
  }
}
