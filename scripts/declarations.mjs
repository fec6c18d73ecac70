// Every export of src has its full type written down. TypeScript's `isolatedDeclarations` checks just that,
// but it also forbids `class X extends Context.Tag(…)`, so the option stays off and this filters its findings.
import ts from "typescript"

const EXTENDS_AN_EXPRESSION = 9021

const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: report }
const parsed = ts.getParsedCommandLineOfConfigFile(
  "tsconfig.build.json",
  { isolatedDeclarations: true, noEmit: false, emitDeclarationOnly: true },
  host
)
const program = ts.createProgram(parsed.fileNames, parsed.options)
const findings = program.getDeclarationDiagnostics().filter((d) => d.code !== EXTENDS_AN_EXPRESSION)
findings.forEach(report)
process.exitCode = findings.length > 0 ? 1 : 0

/** @param {ts.Diagnostic} diagnostic */
function report(diagnostic) {
  console.error(
    ts.formatDiagnostic(diagnostic, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: ts.sys.getCurrentDirectory,
      getNewLine: () => "\n"
    }).trimEnd()
  )
}
