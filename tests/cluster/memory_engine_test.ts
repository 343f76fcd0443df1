import { memoryEngine } from "../../cluster/mod.ts";
import { testEngine } from "./engine_conformance.ts";

testEngine("memory engine", () => {
  const engine = memoryEngine();
  return Promise.resolve({
    engines: [engine, engine] as const,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});
