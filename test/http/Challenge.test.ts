import { describe, expect, it } from "@effect/vitest"
import * as Challenge from "effect-credentials/http/Challenge"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

const flat = (header: string | ReadonlyArray<string> | undefined) =>
  Challenge.parse(header).map((one) =>
    one.token68 === undefined
      ? [one.scheme, Object.fromEntries(one.parameters)]
      : [one.scheme, one.token68, Object.fromEntries(one.parameters)]
  )

const read: ReadonlyArray<readonly [string, string | ReadonlyArray<string>, unknown]> = [
  ["nothing", "", []],
  ["only separators", " ,, \t, ", []],
  ["a bare scheme", "Negotiate", [["Negotiate", {}]]],
  ["bare schemes in a list", "Negotiate, NTLM", [["Negotiate", {}], ["NTLM", {}]]],
  ["one parameter", "Basic realm=\"simple\"", [["Basic", { realm: "simple" }]]],
  ["an unquoted parameter", "Bearer error=invalid_token", [["Bearer", { error: "invalid_token" }]]],
  ["commas in a quoted string", "Bearer scope=\"a, b\", error=\"x\"", [["Bearer", {
    scope: "a, b",
    error: "x"
  }]]],
  ["a quoted string that looks like a challenge", "Bearer a=\"Basic realm=\\\"x\\\", Digest\"", [
    ["Bearer", { a: "Basic realm=\"x\", Digest" }]
  ]],
  ["escapes", "Bearer a=\"\\\"\\\\\\n\"", [["Bearer", { a: "\"\\n" }]]],
  ["an empty quoted string", "Bearer realm=\"\", error=\"x\"", [["Bearer", { realm: "", error: "x" }]]],
  ["blanks around the equals sign", "Bearer realm = \"r\" ,\terror\t=\tx", [["Bearer", {
    realm: "r",
    error: "x"
  }]]],
  [
    "several schemes with parameters",
    "Basic realm=\"b\", Bearer realm=\"r\", error=\"e\", DPoP algs=\"ES256\"",
    [
      ["Basic", { realm: "b" }],
      ["Bearer", { realm: "r", error: "e" }],
      ["DPoP", { algs: "ES256" }]
    ]
  ],
  ["several headers", ["Basic realm=\"b\"", "Bearer error=\"e\""], [
    ["Basic", { realm: "b" }],
    ["Bearer", { error: "e" }]
  ]],
  ["a token68", "Negotiate YII+/a==", [["Negotiate", "YII+/a==", {}]]],
  ["a token68 before another scheme", "Negotiate abc=, Basic realm=\"b\"", [
    ["Negotiate", "abc=", {}],
    ["Basic", { realm: "b" }]
  ]],
  ["a parameter that begins like a token68", "Custom abc=def", [["Custom", { abc: "def" }]]],
  ["names without case", "bEARER ReaLM=\"r\"", [["bEARER", { realm: "r" }]]],
  ["a repeated parameter: the first", "Bearer error=\"a\", ERROR=\"b\"", [["Bearer", { error: "a" }]]],
  ["the same scheme twice", "Bearer realm=\"a\", Bearer realm=\"b\"", [
    ["Bearer", { realm: "a" }],
    ["Bearer", { realm: "b" }]
  ]],
  ["an unquoted URL", "Bearer resource_metadata=https://a.test/b?c=d, error=x", [
    ["Bearer", { resource_metadata: "https://a.test/b?c=d", error: "x" }]
  ]],
  ["parameters before any scheme", "realm=\"r\", Bearer error=\"e\"", [["Bearer", { error: "e" }]]],
  ["a quote that is never closed", "Bearer realm=\"r\", error=\"invalid", [["Bearer", { realm: "r" }]]],
  ["a quote that is never closed after an escape", "Bearer realm=\"r\\", [["Bearer", {}]]],
  ["junk between elements", "Bearer realm=\"r\" junk \"a,b\" , @@@ , error=\"e\"", [
    ["Bearer", { realm: "r", error: "e" }]
  ]],
  ["a parameter without a name", "Bearer a=b, =\"x, y\", error=\"e\"", [["Bearer", { a: "b", error: "e" }]]],
  ["names of Object's own", "Bearer __proto__=\"p\", constructor=\"c\"", [
    ["Bearer", Object.fromEntries([["__proto__", "p"], ["constructor", "c"]])]
  ]]
]

describe("parse", () => {
  for (const [name, header, expected] of read) {
    it(name, () => expect(flat(header)).toEqual(expected))
  }

  it("a header that is absent", () => expect(Challenge.parse(undefined)).toEqual([]))

  it("a header of exactly the longest length is read, a longer one counts as absent", () => {
    const header = (length: number) => `Bearer a="${"x".repeat(length - 11)}"`
    expect(header(Challenge.maxLength)).toHaveLength(Challenge.maxLength)
    expect(Challenge.parse(header(Challenge.maxLength))).toHaveLength(1)
    expect(Challenge.parse(header(Challenge.maxLength + 1))).toEqual([])
    expect(Challenge.parse(["Bearer a=b", "x".repeat(Challenge.maxLength)])).toEqual([])
  })

  it("never throws and keeps within the text, whatever it is given", () => {
    const hostile = FastCheck.string({
      unit: FastCheck.constantFrom("\"", "\\", ",", " ", "=", "a", "Bearer ", "é", "\u0000", "\t", "/", "+"),
      maxLength: 400
    })
    FastCheck.assert(FastCheck.property(hostile, (text) => {
      for (const one of Challenge.parse(text)) {
        expect(text).toContain(one.scheme)
        for (const name of one.parameters.keys()) expect(text.toLowerCase()).toContain(name)
      }
    }))
  })

  it("reads back what render writes", () => {
    const name = FastCheck.stringMatching(/^[!#$%&'*+.^_`|~\dA-Za-z-]{1,12}$/)
    const value = FastCheck.string({ unit: "grapheme", maxLength: 30 })
    const parameters = FastCheck.array(FastCheck.tuple(name, value), { maxLength: 5 })
    const challenge = FastCheck.oneof(
      FastCheck.record({ scheme: name, token68: FastCheck.stringMatching(/^[\dA-Za-z._~+/-]{1,20}={0,2}$/) }),
      FastCheck.record({ scheme: name, parameters: parameters.map((all) => Object.fromEntries(all)) })
    ).map(({ scheme, ...rest }) => Challenge.make(scheme, rest))
    FastCheck.assert(FastCheck.property(FastCheck.array(challenge, { maxLength: 5 }), (challenges) => {
      expect(Challenge.parse(Challenge.render(challenges))).toEqual(challenges)
    }))
  })

  const shapes = ["\"", "a=\"", "\\\"", "a ", "a=", "a,", ",", "a=b ", "=", "\"\\", "    ", "a    "]
  it.each(shapes)("the longest header of %j is read to its end", (shape) => {
    const end = "\", Bearer error=\"last\""
    const text = `Basic ${shape.repeat(Challenge.maxLength)}`.slice(0, Challenge.maxLength - end.length - 1)
    const errors = [end, end.slice(1), `x${end}`].flatMap((tail) => Challenge.parse(text + tail))
      .flatMap((found) => Option.toArray(Challenge.error(found)))
    expect(errors).toContain("last")
  })
})

const one = (header: string): Challenge.Challenge => Challenge.parse(header)[0] ?? Challenge.make("none")

describe("getters", () => {
  const header = "Basic realm=\"b\", Bearer scope=\" read  write \", error=\"invalid_token\""

  it("find ignores case and says so when there is none", () => {
    const challenges = Challenge.parse(header)
    expect(Option.map(Challenge.find(challenges, "BEARER"), (found) => found.scheme)).toEqual(
      Option.some("Bearer")
    )
    expect(Challenge.find(challenges, "Digest")).toEqual(Option.none())
  })

  it("scope is a list without blanks", () => {
    expect(Challenge.scope(one("Bearer scope=\" read  write \""))).toEqual(["read", "write"])
    expect(Challenge.scope(one("Bearer"))).toEqual([])
  })

  it.each([
    ["Bearer error=\"invalid_token\"", Option.some("invalid_token")],
    [`Bearer error="${"x".repeat(100)}"`, Option.some("x".repeat(100))],
    [`Bearer error="${"x".repeat(101)}"`, Option.none()],
    ["Bearer error=\"\"", Option.none()],
    ["Bearer error=\"a\\\"b\"", Option.none()],
    ["Bearer error=\"a\u0007b\"", Option.none()],
    ["Bearer", Option.none()]
  ])("error of %s", (text, expected) => expect(Challenge.error(one(text))).toEqual(expected))

  it.each([
    ["https://a.test/.well-known/oauth-protected-resource", true],
    ["http://127.0.0.1:1/x", true],
    ["javascript:alert(1)", false],
    ["file:///etc/passwd", false],
    ["/relative", false]
  ])("resource_metadata %s", (url, good) => {
    const found = Challenge.resourceMetadata(one(`Bearer resource_metadata="${url}"`))
    expect(Option.map(found, (it) => it.href)).toEqual(good ? Option.some(url) : Option.none())
  })

  const json = "{\"access_token\":{\"nbf\":{\"essential\":true,\"value\":\"1>?\"}}}"
  it.each([
    ["base64", btoa(json), Option.some(json)],
    [
      "base64url without padding",
      btoa(json).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""),
      Option.some(json)
    ],
    ["not base64", "***", Option.none()],
    ["base64 of something else", btoa("hello"), Option.none()]
  ])("claims in %s", (_, text, expected) => {
    expect(Challenge.claims(one(`Bearer claims="${text}"`))).toEqual(expected)
  })

  it("claims in plain JSON", () => {
    expect(Challenge.claims(Challenge.make("Bearer", { parameters: { claims: json } }))).toEqual(
      Option.some(json)
    )
  })
})
