// Prints "N passed, N failed" from vitest's JSON report; fails when a test failed or none ran.
import { readFileSync } from "node:fs"

const text = readFileSync(process.argv[2], "utf8")
const report = text === "" ? { numPassedTests: 0, numFailedTests: 0, testResults: [] } : JSON.parse(text)

// A file that breaks before its first test counts as one failure.
const broken = report.testResults.filter((file) =>
  file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed")
)
const passed = report.numPassedTests
const failed = report.numFailedTests + broken.length

console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
