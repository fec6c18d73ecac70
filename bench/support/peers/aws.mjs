// The AWS SDK's memoized providers: smithy's `memoize` alone, and what each AWS client wraps around its credentials.
import { resolveAwsSdkSigV4Config } from "@aws-sdk/core/httpAuthSchemes"
import { memoize } from "@smithy/property-provider"

const identity = async (provider) => {
  const answer = await provider.answer()
  return {
    accessKeyId: "id",
    secretAccessKey: answer.access_token,
    expiration: new Date(Date.now() + answer.expires_in * 1000)
  }
}

export const smithy = {
  name: "smithy memoize",
  window: 0,
  make: async (provider) => ({
    get: memoize(
      () => identity(provider),
      (held) => held.expiration.getTime() <= Date.now(),
      (held) => held.expiration !== undefined
    )
  })
}

export const aws = {
  name: "AWS SDK credentials",
  window: 300,
  make: async (provider) => {
    const config = resolveAwsSdkSigV4Config({
      credentials: () => identity(provider),
      region: async () => "eu-west-1",
      sha256: undefined
    })
    return { get: config.credentials }
  }
}
