/**
 * What the provider says about itself (RFC 8414 §2, OpenID Connect Discovery §3).
 *
 * @since 0.1.0
 */
import * as Proof from "./proof.js"
import * as Settings from "./settings.js"

export const metadata = (settings: Settings.Settings): Readonly<Record<string, unknown>> => {
  const { base, issuer } = settings
  return {
    issuer,
    authorization_endpoint: `${base}/authorize`,
    pushed_authorization_request_endpoint: `${base}/par`,
    token_endpoint: `${base}/token`,
    device_authorization_endpoint: `${base}/device_authorization`,
    revocation_endpoint: `${base}/revocation`,
    introspection_endpoint: `${base}/introspection`,
    userinfo_endpoint: `${base}/userinfo`,
    end_session_endpoint: `${base}/end_session`,
    jwks_uri: `${base}/jwks`,
    ...(settings.registration === "Closed" ? {} : { registration_endpoint: `${base}/registration` }),
    ...abilities(settings),
    ...settings.metadata
  }
}

const abilities = (settings: Settings.Settings) => ({
  response_types_supported: ["code"],
  response_modes_supported: ["query"],
  grant_types_supported: Settings.grantTypes(settings),
  code_challenge_methods_supported: ["S256"],
  prompt_values_supported: ["none", "login", "consent", "select_account"],
  subject_types_supported: ["public"],
  id_token_signing_alg_values_supported: [settings.idTokenAlgorithm],
  token_endpoint_auth_methods_supported: [
    ...new Set([...settings.clients.values()].flatMap(({ methods }) => methods))
  ],
  token_endpoint_auth_signing_alg_values_supported: [...Settings.algorithms, "HS256", "HS384", "HS512"],
  dpop_signing_alg_values_supported: Proof.algorithms,
  authorization_response_iss_parameter_supported: settings.announceIssuer,
  require_pushed_authorization_requests: settings.pushes,
  client_id_metadata_document_supported: settings.clientIdDocuments,
  ...scopes(settings)
})

/** Told only where it is known which there are. */
const scopes = ({ clients }: Settings.Settings) => {
  const all = [...clients.values()].flatMap(({ scopes }) => scopes ?? [])
  return all.length === 0 ? {} : { scopes_supported: [...new Set(all)] }
}
