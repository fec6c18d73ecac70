import type * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as SignIn from "effect-credentials/manager/SignIn"
import type * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import type * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Google from "effect-credentials/provider/Google"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import type * as Duration from "effect/Duration"
import { describe, expect, test } from "tstyche"

declare const options: Provider.LoginOptions

describe("a preset", () => {
  test("gives the options of the logins that it has", () => {
    expect(Provider.device(Google.provider, options)).type.toBe<DeviceCode.Options>()
    expect(Provider.browser(Google.provider, options)).type.toBe<AuthorizationCode.Options>()
  })

  test("can't be asked for a login that it doesn't have", () => {
    expect(Provider.device).type.not.toBeCallableWith(OpenAI.provider, options)
    expect(Provider.browser).type.not.toBeCallableWith(Qwen.provider, options)
  })

  test("gives what OAuthSource and SignIn take, as it is and with more", () => {
    const source = Provider.source(Google.provider, options)
    expect(source).type.toBeAssignableTo<OAuthSource.Options>()
    expect(source).type.toBeAssignableTo<SignIn.Options>()
    expect(SignIn.layer).type.toBeCallableWith({ ...source, minUsable: "5 minutes" })
    expect(OAuthSource.layer).type.toBeCallableWith(source)
    expect(source.graceWindow).type.toBe<Duration.DurationInput>()
  })

  test("has its redirect as a browser login takes it", () => {
    expect(Google.provider.browser.redirect).type.toBeAssignableTo<BrowserLogin.Redirect>()
    expect(Anthropic.provider.browser.pastePage).type.toBe<string>()
  })
})
