/** Programs that keep secrets: arguments without secrets, input and output bounded, ended at a deadline. */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import type * as PlatformError from "@effect/platform/Error"
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { bounded } from "./shielded.js"

export interface Options {
  readonly executor: CommandExecutor.CommandExecutor
  readonly program: string
  readonly env: Readonly<Record<string, string>>
  readonly timeLimit: Duration.Duration
  /** Bytes; a program that says more is ended. */
  readonly maxOutput: number
}

/** What the program said, and how it ended. */
export interface Answer {
  readonly exitCode: number
  readonly stdout: Uint8Array
  /** In lower case and cut, for telling failures apart; never for showing. */
  readonly stderr: string
}

/** Why there is no answer. */
export type Failure = "NotFound" | "TimedOut" | "TooLong" | "Failed"

/** Runs the program without a shell. It sees the input on its standard input and nowhere else. */
export const run = (
  options: Options,
  args: ReadonlyArray<string>,
  input: string = ""
): Effect.Effect<Answer, Failure> => {
  const command = Command.make(options.program, ...args).pipe(
    Command.env(options.env),
    Command.stdin("pipe")
  )
  return bounded(
    Effect.scoped(
      Effect.flatMap(start(options.executor, command), (process) => talk(process, options, input))
    ),
    options.timeLimit,
    () => "TimedOut" as const
  )
}

/** A program that has not ended by itself is killed: it may ignore anything less. */
const start = (
  executor: CommandExecutor.CommandExecutor,
  command: Command.Command
): Effect.Effect<CommandExecutor.Process, Failure, Scope.Scope> =>
  executor.start(command).pipe(
    Effect.mapError((error) => isMissing(error) ? "NotFound" as const : "Failed" as const),
    Effect.tap((process) =>
      Effect.addFinalizer(() => Effect.ignore(Effect.whenEffect(process.kill("SIGKILL"), isRunning(process))))
    )
  )

const isRunning = (process: CommandExecutor.Process): Effect.Effect<boolean> =>
  Effect.orElseSucceed(process.isRunning, () => true)

const isMissing = (error: PlatformError.PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === "NotFound"

const talk = (
  process: CommandExecutor.Process,
  { maxOutput }: Options,
  input: string
): Effect.Effect<Answer, Failure> =>
  Effect.all({
    input: Effect.raceFirst(feed(process, input), Effect.ignore(process.exitCode)),
    stdout: collect(process.stdout, maxOutput),
    stderr: Effect.map(keepStart(process.stderr), (bytes) => new TextDecoder().decode(bytes).toLowerCase()),
    exitCode: Effect.mapError(process.exitCode, () => "Failed" as const)
  }, { concurrency: "unbounded" })

/**
 * A program that has ended doesn't read on; its exit code tells whether it had to. The sink does not always
 * notice that nobody reads, so its end is not waited for then.
 */
const feed = (process: CommandExecutor.Process, input: string): Effect.Effect<void> =>
  Effect.ignore(Stream.run(Stream.make(new TextEncoder().encode(input)), process.stdin))

const collect = (
  stream: Stream.Stream<Uint8Array, PlatformError.PlatformError>,
  limit: number
): Effect.Effect<Uint8Array, Failure> =>
  Stream.mapError(stream, () => "Failed" as const).pipe(
    Stream.mapAccumEffect(0, (size, bytes) =>
      size + bytes.length > limit
        ? Effect.fail<Failure>("TooLong")
        : Effect.succeed([size + bytes.length, bytes] as const)),
    Stream.runCollect,
    Effect.map(concat)
  )

/** All of it is read, so that the program is never held up, and the first part is kept. */
const keepStart = (
  stream: Stream.Stream<Uint8Array, PlatformError.PlatformError>
): Effect.Effect<Uint8Array, Failure> =>
  Stream.mapError(stream, () => "Failed" as const).pipe(
    Stream.runFold<Uint8Array, Uint8Array>(new Uint8Array(), (kept, bytes) =>
      kept.length < maxStderr ? concat(Chunk.make(kept, bytes)) : kept)
  )

const maxStderr = 16 * 1024

const concat = (parts: Chunk.Chunk<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(Chunk.reduce(parts, 0, (size, part) => size + part.length))
  Chunk.reduce(parts, 0, (offset, part) => {
    whole.set(part, offset)
    return offset + part.length
  })
  return whole
}
