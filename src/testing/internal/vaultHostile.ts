/** Keys and values that have broken some store somewhere. */
/** Keys that some backend somewhere confuses with each other, with a path, or with a device. */
export const hostileKeys: ReadonlyArray<string> = [
  "a/b",
  "a_b",
  "a%2fb",
  "A/B",
  "a\\b",
  "a:b",
  ".",
  "..",
  "../../etc/passwd",
  "/etc/passwd",
  "con",
  "NUL",
  " ",
  "a ",
  " a",
  "a.",
  "-rf",
  "--help",
  "a=b",
  "*",
  "a\0b",
  "a\nb",
  "\"quoted\" 'key'",
  "$(id)",
  "\u00e9",
  "e\u0301",
  "\u{1f511}",
  "__proto__",
  "constructor",
  "x".repeat(512),
  "x".repeat(511),
  "\u00fc".repeat(512),
  "\u00fc".repeat(511)
]

/** Values that encodings, shells and C strings damage. */
export const hostileValues = (maxBytes: number): ReadonlyArray<string> =>
  [
    "",
    " ",
    "\n",
    "trailing newline\n",
    "nul \0 inside",
    "\"quotes\" 'single' `ticks` \\ back",
    "{\"json\":true}",
    "\ufeffbyte order mark",
    "\u00e9 e\u0301 \u{1f511} \u202e",
    "\r\n",
    "\0".repeat(1000),
    "k".repeat(200_000)
  ].filter((value) => new TextEncoder().encode(value).length <= maxBytes)
