import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** A tracer that does what the one in force does and keeps what it made. */
export const recording = Effect.map(Effect.tracer, (native) => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    context: (run, fiber) => native.context(run, fiber),
    span: (...args) => {
      const span = native.span(...args)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
})
